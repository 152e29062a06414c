// Functions on tensors alone: attention written in linalg, transformer ops outside of a step,
// quantisation, sampling, verification of drafts and the exchange between ranks.

#include "ModuleGenerator.h"

namespace llmir::testing {

static std::string text(int64_t number) { return std::to_string(number); }

void ModuleGenerator::addWrittenAttention() {
  std::string name = "f" + text(numFunctions++);
  std::string b = text(random.between(1, 4)), n = text(random.between(1, 9)),
              m = text(random.between(1, 12)), d = text(random.between(1, 24)),
              e = text(random.between(1, 24));
  std::string scores = "tensor<" + b + "x" + n + "x" + m + "xf32>";
  std::string q = "tensor<" + b + "x" + n + "x" + d + "xf32>";
  std::string k = "tensor<" + b + "x" + m + "x" + d + "xf32>";
  std::string v = "tensor<" + b + "x" + m + "x" + e + "xf32>";
  std::string o = "tensor<" + b + "x" + n + "x" + e + "xf32>";
  bool isMasked = random.percent(40), isScaled = random.percent(70), isCapped = random.percent(30);
  std::string out = "func.func @" + name + "(%q: " + q + ", %k: " + k + ", %v: " + v +
                    (isMasked ? ", %mask: " + scores : "") + ") -> " + o + " {\n" +
                    "  %zero = arith.constant 0.0 : f32\n  %e0 = tensor.empty() : " + scores +
                    "\n  %z0 = linalg.fill ins(%zero : f32) outs(%e0 : " + scores + ") -> " +
                    scores +
                    "\n  %s0 = linalg.batch_matmul indexing_maps = [affine_map<(b, m, n, k) -> "
                    "(b, m, k)>, affine_map<(b, m, n, k) -> (b, n, k)>, affine_map<(b, m, n, k) "
                    "-> (b, m, n)>] ins(%q, %k : " +
                    q + ", " + k + ") outs(%z0 : " + scores + ") -> " + scores + "\n";
  std::string last = "%s0";
  auto step = [&](const std::string &value, const std::string &op) {
    out += "  " + value + " = " + op + " : " + scores + "\n";
    last = value;
  };
  if (isScaled) {
    out += "  %c = arith.constant dense<" + random.word({"0.125", "0.3", "2.0"}) + "> : " + scores +
           "\n";
    step("%s1", "arith.mulf " + last + ", %c");
  }
  if (isCapped) {
    out += "  %cap = arith.constant dense<" + random.word({"5.0", "0.5"}) + "> : " + scores + "\n";
    step("%s2", "arith.divf " + last + ", %cap");
    step("%s3", "math.tanh " + last);
    step("%s4", "arith.mulf " + last + ", %cap");
  }
  if (isMasked)
    step("%s5", "arith.addf " + last + ", %mask");
  functions += out + "  %p = linalg.softmax dimension(2) ins(" + last + " : " + scores +
               ") outs(%e0 : " + scores + ") -> " + scores + "\n  %e1 = tensor.empty() : " + o +
               "\n  %z1 = linalg.fill ins(%zero : f32) outs(%e1 : " + o + ") -> " + o +
               "\n  %o = linalg.batch_matmul ins(%p, %v : " + scores + ", " + v +
               ") outs(%z1 : " + o + ") -> " + o + "\n  return %o : " + o + "\n}\n";
}

void ModuleGenerator::addTransformerFunction() {
  std::string name = "f" + text(numFunctions++);
  int64_t width = 32 * random.between(1, 3);
  std::string x = "tensor<?x" + text(width) + "xf32>";
  stream = "%x";
  body.clear();
  matrixType = random.word({"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"});
  std::string arguments = "%x: " + x;
  for (int64_t i = 0, count = random.between(1, 4); i < count; ++i) {
    std::string next = newValue();
    std::string prefix = name + "." + text(i);
    switch (random.between(0, 5)) {
    case 0:
      next = addNorm(stream, prefix, width);
      break;
    case 1:
      line(next + " = llm.linear " + stream + ", @" + addMatrix(prefix + ".w", width, width) +
           (random.percent(30) ? " residual(%x) : (" + x + ", " + x + ")" : " : (" + x + ")") +
           " -> " + x);
      break;
    case 2:
      line(next + " = llm.swiglu " + stream + ", %x : " + x);
      break;
    case 3:
      line(next + " = llm.geglu " + stream + ", %x" + random.word({"", " approximation(erf)"}) +
           " : " + x);
      break;
    case 4:
      line(next + " = arith.addf " + stream + ", %x : " + x);
      break;
    default: {
      int64_t experts = random.between(2, 4);
      std::string router = addMatrix(prefix + ".router", experts, width);
      std::string gate = addMatrix(prefix + ".gate", experts * 32, width);
      std::string up = addMatrix(prefix + ".up", experts * 32, width);
      std::string down = addMatrix(prefix + ".down", experts * width, 32);
      line(next + " = llm.moe " + stream + " router(@" + router + ") gate(@" + gate + ") up(@" +
           up + ") down(@" + down + ") experts(" + text(random.between(1, experts)) + " of " +
           text(experts) + ") " + random.word({"", "scores(sigmoid) "}) +
           random.word({"", "normalize "}) + ": " + x);
    }
    }
    stream = next;
  }
  functions += "func.func @" + name + "(" + arguments + ") -> " + x + " {\n" + body + "  return " +
               stream + " : " + x + "\n}\n";
}

void ModuleGenerator::addQuantizationFunction() {
  std::string name = "f" + text(numFunctions++);
  int64_t group = random.oneOf<int64_t>({8, 16, 32}), columns = group * random.between(1, 3);
  std::string rows = text(random.between(1, 9));
  std::string bits = random.word({"4", "8"});
  std::string symmetric = random.word({"true", "false"});
  auto type = [&](const std::string &sizes, const std::string &width, const std::string &flag) {
    return "!llm.quantized_tensor<i" + width + ", [" + sizes + ", " + text(columns) + "], " + flag +
           ", true, 1, " + text(group) + ", " + width +
           (flag == "false" && random.percent(50) ? ", zero_point = f16>" : ">");
  };
  std::string x = "tensor<?x" + text(columns) + "xf32>";
  std::string w = "tensor<" + rows + "x" + text(columns) + "xf32>";
  std::string a = type("?", "8", "true"), q = type(rows, bits, symmetric);
  std::string y = "tensor<?x" + rows + "xf32>";
  functions +=
      "func.func @" + name + "(%x: " + x + ", %w: " + w + ") -> (" + y + ", " + w +
      ") {\n  %a = llm.quantize %x : " + x + " -> " + a + "\n  %q = llm.quantize %w : " + w +
      " -> " + q + "\n  %y = llm.quantized_matmul %a, %q : (" + a + ", " + q + ") -> " + y +
      "\n  %d = llm.dequantize %q : " + q + " -> " + w + "\n  %r = llm.quantize %d : " + w +
      " -> " + q + "\n  %e = llm.dequantize %r : " + q + " -> " + w + "\n  return %y, %e : " + y +
      ", " + w + "\n}\n";
}

void ModuleGenerator::addExchangeFunction() {
  std::string name = "f" + text(numFunctions++);
  std::string x = "tensor<?x8xf32>", context = "%context: !llm.step_context";
  switch (random.between(0, 3)) {
  case 0: {
    int64_t shards = random.oneOf<int64_t>({1, 1, 2});
    std::string part = "tensor<?x" + text(8 / shards) + "xf32>";
    functions += "func.func @" + name + "(%x: " + x + ", " + context + ") -> " + x +
                 " {\n  %r = llm.reduce_scatter %x, %context dim(1) shards(" + text(shards) +
                 ") : " + x + " -> " + part +
                 "\n  %y = llm.all_gather %r, %context dim(1) shards(" + text(shards) +
                 ") : " + part + " -> " + x + "\n  return %y : " + x + "\n}\n";
    return;
  }
  case 1:
    functions += "func.func @" + name + "(%x: " + x + ", " + context + ") -> " + x +
                 " {\n  llm.send %x, %context to(1) : " + x + "\n  return %x : " + x + "\n}\n";
    return;
  case 2: {
    std::string options = random.percent(50)
                              ? " uniforms(%u) {top_k = " + text(random.between(1, 5)) + " : i32}"
                              : "";
    functions += "func.func @" + name + "(%x: " + x + ", %u: tensor<?xf32>) -> tensor<?xi32> {\n" +
                 "  %t = llm.sample %x" + options + " : (" + x +
                 (options.empty() ? "" : ", tensor<?xf32>") +
                 ") -> tensor<?xi32>\n  return %t : tensor<?xi32>\n}\n";
    return;
  }
  default: {
    bool isTree = random.percent(50);
    std::string results = "(tensor<?xi32>, tensor<?x9xi32>, tensor<?xi32>)";
    functions +=
        "func.func @" + name + "(%x: " + x + ", %drafts: tensor<?xi32>, %cu: tensor<?xi32>" +
        (isTree ? ", %parents: tensor<?xi32>" : "") + ") -> " + results +
        " {\n  %a, %p, %n = llm.verify %x, %drafts, %cu" + (isTree ? " parents(%parents)" : "") +
        " : (" + x + ", tensor<?xi32>, tensor<?xi32>" + (isTree ? ", tensor<?xi32>" : "") +
        ") -> " + results + "\n  return %a, %p, %n : " + results.substr(1, results.size() - 2) +
        "\n}\n";
  }
  }
}

} // namespace llmir::testing
