// Functions over caches and tensors: see ModuleGenerator.h. Steps are in StepGenerator.cpp.

#include "ModuleGenerator.h"

namespace llmir::testing {

static std::string text(int64_t number) { return std::to_string(number); }

/// `tensor<2x?xf32>`; a size below 0 is not known.
static std::string tensor(std::initializer_list<int64_t> sizes, const std::string &element) {
  std::string type = "tensor<";
  for (int64_t size : sizes)
    type += (size < 0 ? "?" : text(size)) + "x";
  return type + element + ">";
}

std::string ModuleGenerator::generate() {
  int64_t family = random.between(1, 100);
  if (family <= 32)
    addStep();
  else if (family <= 60)
    addCacheFunction();
  else if (family <= 68)
    addCacheLoop();
  else if (family <= 76)
    addSequenceFunction();
  else if (family <= 85)
    addDenseAttention();
  else if (family <= 89)
    addWrittenAttention();
  else if (family <= 94)
    addTransformerFunction();
  else if (family <= 97)
    addQuantizationFunction();
  else
    addExchangeFunction();
  // Now and then a second function beside.
  if (random.percent(10))
    addCacheFunction();
  return aliases + weights + functions;
}

std::string ModuleGenerator::scale() {
  return random.word({"1.0", "0.125", "0.25", "0.3", "0.0883883461", "-0.2"});
}

ModuleGenerator::Attention ModuleGenerator::chooseAttention(const CacheChoice &cache, int64_t heads,
                                                            bool isRagged, bool cuLengths,
                                                            const std::string &layer) {
  Attention attention;
  auto add = [&](const std::string &word, const std::string &name, const std::string &type,
                 bool isArgument) {
    attention.operands += " " + word + "(" + name + ")";
    attention.types += ", " + type;
    if (isArgument)
      attention.arguments += ", " + name + ": " + type;
  };
  if (isRagged)
    add("cu_lengths", "%cu", "tensor<?xi32>", cuLengths);
  if (!layer.empty())
    add("layer", layer, "index", layer == "%layer");
  if (random.percent(20))
    add("sink_logits", "%sinks", tensor({heads}, "f32"), true);
  bool hasTree = isRagged && random.percent(20);
  bool hasSlopes = random.percent(20);
  bool hasPositions = isRagged && random.percent(hasTree && (cache.window || hasSlopes) ? 100 : 5);
  if (hasTree)
    add("tree_mask", "%tree", "tensor<?xi64>", true);
  if (hasPositions)
    add("positions", "%places", "tensor<?xi32>", true);
  if (cache.window && random.percent(50))
    attention.attributes += ", window = " + text(cache.window) + " : i32";
  if (cache.sinks && random.percent(50))
    attention.attributes += ", num_sinks = " + text(cache.sinks) + " : i32";
  if (random.percent(20))
    attention.attributes += ", soft_cap = " + random.word({"0.5", "5.0", "30.0"}) + " : f32";
  if (hasSlopes) {
    std::string slopes;
    for (int64_t head = 0; head < heads; ++head)
      slopes += (head ? ", " : "") + text(head % 3) + "." + text(head % 10) + "25";
    attention.attributes += ", alibi_slopes = array<f32: " + slopes + ">";
  }
  return attention;
}

void ModuleGenerator::addCacheFunction() {
  CacheChoice cache = chooseCache(random);
  std::string name = "f" + text(numFunctions++), kv = "!kv_" + name;
  aliases += kv + " = " + cache.type + "\n";
  int64_t heads = cache.kvHeads * random.between(1, 4);
  std::string element = random.word({"f32", "f16", "bf16"});
  std::string stored = random.percent(70) ? element : random.word({"f32", "f16", "bf16"});
  bool isPadded = random.percent(50), isStored = random.percent(50);
  int64_t batch = random.percent(50) ? random.between(1, 4) : -1;
  int64_t tokens = random.percent(60) ? 1 : random.between(2, 5);
  bool dynamicTokens = random.percent(30);
  int64_t layer = random.between(0, cache.layers - 1);
  bool layerIsOperand = random.percent(20);
  std::string layerOperand = layerIsOperand ? "%layer" : "";
  std::string layerUse = layerIsOperand ? " layer(%layer)" : "";
  std::string layerAttribute = layerIsOperand ? "" : ", layer = " + text(layer) + " : i32";
  std::string layerType = layerIsOperand ? ", index" : "";
  int64_t n = dynamicTokens ? -1 : tokens;

  std::string q = isPadded ? tensor({batch, n, heads, cache.keyDim}, element)
                           : tensor({-1, heads, cache.keyDim}, element);
  std::string o = isPadded ? tensor({batch, n, heads, cache.valueDim}, element)
                           : tensor({-1, heads, cache.valueDim}, element);
  int64_t sequences = isPadded ? batch : -1;
  std::string lens = tensor({sequences}, "i32");
  Attention attention = chooseAttention(cache, heads, !isPadded, true, layerOperand);
  bool hasLayerArgument = attention.arguments.find("%layer") != std::string::npos;
  std::string arguments = "%kv0: " + kv + ", %q: " + q + ", %lens: " + lens;
  std::string lines;
  std::string table = tensor({sequences, -1}, "i32");
  // Tokens to be attended to are there already, are stored into slots, or are appended.
  std::string last = "%kv0";
  if (isStored && (!isPadded || random.percent(50))) {
    std::string k = tensor({-1, cache.kvHeads, cache.keyDim}, stored);
    std::string v = tensor({-1, cache.kvHeads, cache.valueDim}, stored);
    arguments += ", %k: " + k + ", %v: " + v + ", %slots: tensor<?xi32>, %table: " + table;
    lines += "  %kv1 = llm.store_kv %kv0, %k, %v, %slots" + layerUse +
             (layerIsOperand ? "" : " {layer = " + text(layer) + " : i32}") + " : (" + kv + ", " +
             k + ", " + v + ", tensor<?xi32>" + layerType + ") -> " + kv + "\n";
    last = "%kv1";
  } else if (isStored) {
    bool isFlat = tokens == 1 && !dynamicTokens && random.percent(40);
    std::string k = isFlat ? tensor({batch, cache.kvHeads, cache.keyDim}, stored)
                           : tensor({batch, n, cache.kvHeads, cache.keyDim}, stored);
    std::string v = isFlat ? tensor({batch, cache.kvHeads, cache.valueDim}, stored)
                           : tensor({batch, n, cache.kvHeads, cache.valueDim}, stored);
    std::string seqs = tensor({batch}, "i32"), blocks = tensor({batch, isFlat ? 1 : n}, "i32");
    table = tensor({batch, random.percent(50) ? -1 : cache.maxBlocks()}, "i32");
    arguments += ", %k: " + k + ", %v: " + v + ", %seqs: " + seqs;
    lines += "  %kv1, %blocks = llm.append_kv %kv0, %k, %v, %seqs" + layerUse +
             " {block_size = " + text(cache.blockSize) +
             " : i32, max_seq_len = " + text(cache.maxSeqLen) + " : i32" + layerAttribute +
             "} : (" + kv + ", " + k + ", " + v + ", " + seqs + layerType + ") -> (" + kv + ", " +
             blocks + ")\n";
    lines +=
        "  %table = llm.block_table %kv1, %seqs : (" + kv + ", " + seqs + ") -> " + table + "\n";
    last = "%kv1";
  } else {
    arguments += ", %table: " + table;
  }
  if (layerIsOperand && !hasLayerArgument)
    arguments += ", %layer: index";
  arguments += attention.arguments;
  std::string paged = "llm.paged_attention %q, " + last + ", %table, %lens" + attention.operands +
                      " {num_heads = " + text(heads) + " : i32, head_dim = " + text(cache.keyDim) +
                      " : i32, scale = ";
  std::string rest = " : f32" + layerAttribute + attention.attributes + "} : (" + q + ", " + kv +
                     ", " + table + ", " + lens + attention.types + ") -> " + o + "\n";
  if (random.percent(15)) {
    arguments += ", %choice: i1";
    lines += "  %o = scf.if %choice -> (" + o + ") {\n    %a = " + paged + "0.5" + rest +
             "    scf.yield %a : " + o + "\n  } else {\n    %b = " + paged + scale() + rest +
             "    scf.yield %b : " + o + "\n  }\n";
  } else {
    lines += "  %o = " + paged + scale() + rest;
  }
  functions += "func.func @" + name + "(" + arguments + ") -> (" + o + ", " + kv + ") {\n" + lines +
               "  return %o, " + last + " : " + o + ", " + kv + "\n}\n";
}

void ModuleGenerator::addCacheLoop() {
  CacheChoice cache = chooseCache(random);
  std::string name = "f" + text(numFunctions++), kv = "!kv_" + name;
  aliases += kv + " = " + cache.type + "\n";
  int64_t heads = cache.kvHeads * random.between(1, 3);
  std::string element = random.word({"f32", "f16", "bf16"});
  std::string k = tensor({-1, cache.kvHeads, cache.keyDim}, element);
  std::string v = tensor({-1, cache.kvHeads, cache.valueDim}, element);
  std::string q = tensor({-1, heads, cache.keyDim}, element);
  std::string o = tensor({-1, heads, cache.valueDim}, element);
  Attention attention = chooseAttention(cache, heads, true, true, "%i");
  functions += "func.func @" + name + "(%kv0: " + kv + ", %q: " + q + ", %first: " + o +
               ", %k: " + k + ", %v: " + v +
               ", %slots: tensor<?xi32>, %table: tensor<?x?xi32>, %lens: tensor<?xi32>" +
               attention.arguments + ") -> (" + o + ", " + kv +
               ") {\n  %c0 = arith.constant 0 : index\n  %c1 = arith.constant 1 : index\n  %end = "
               "arith.constant " +
               text(cache.layers) +
               " : index\n  %r:2 = scf.for %i = %c0 to %end step %c1 iter_args(%o = %first, %kv = "
               "%kv0) -> (" +
               o + ", " + kv + ") {\n    %next = llm.store_kv %kv, %k, %v, %slots layer(%i) : (" +
               kv + ", " + k + ", " + v + ", tensor<?xi32>, index) -> " + kv +
               "\n    %a = llm.paged_attention %q, %next, %table, %lens" + attention.operands +
               " {num_heads = " + text(heads) + " : i32, head_dim = " + text(cache.keyDim) +
               " : i32, scale = " + scale() + " : f32" + attention.attributes + "} : (" + q + ", " +
               kv + ", tensor<?x?xi32>, tensor<?xi32>" + attention.types + ") -> " + o +
               "\n    scf.yield %a, %next : " + o + ", " + kv +
               "\n  }\n  return %r#0, %r#1 : " + o + ", " + kv + "\n}\n";
}

void ModuleGenerator::addSequenceFunction() {
  CacheChoice cache = chooseCache(random);
  std::string name = "f" + text(numFunctions++), kv = "!kv_" + name, seqs = "tensor<?xi32>";
  aliases += kv + " = " + cache.type + "\n";
  std::string head = "func.func @" + name + "(%kv0: " + kv + ", %seqs: " + seqs;
  std::string both = "(" + kv + ", " + seqs + ") -> ";
  std::string keys = tensor({-1, -1, cache.kvHeads, cache.keyDim}, cache.element);
  std::string values = tensor({-1, -1, cache.kvHeads, cache.valueDim}, cache.element);
  switch (random.between(0, 4)) {
  case 0:
    functions += head + ", %children: " + seqs + ") -> " + kv +
                 " {\n  %kv1 = llm.fork %kv0, %seqs, %children : (" + kv + ", " + seqs + ", " +
                 seqs + ") -> " + kv +
                 (random.percent(50) ? "\n  %kv2 = llm.free_sequences %kv1, %children : " + both +
                                           kv + "\n  return %kv2 : "
                                     : "\n  return %kv1 : ") +
                 kv + "\n}\n";
    break;
  case 1:
    functions += head + ", %lengths: " + seqs + ") -> (" + kv + ", " + seqs +
                 ") {\n  %kv1 = llm.rollback %kv0, %seqs, %lengths : (" + kv + ", " + seqs + ", " +
                 seqs + ") -> " + kv + "\n  %kv2 = llm.rollback %kv1, %seqs, %lengths : (" + kv +
                 ", " + seqs + ", " + seqs + ") -> " + kv +
                 "\n  %n = llm.sequence_lengths %kv2, %seqs : " + both + seqs +
                 "\n  return %kv2, %n : " + kv + ", " + seqs + "\n}\n";
    break;
  case 2: {
    bool isTree = random.percent(50);
    functions += head + ", %drafted: " + seqs + ", %accepted: " + seqs +
                 (isTree ? ", %path: tensor<?x3xi32>" : "") + ") -> " + kv +
                 " {\n  %kv1 = llm.commit %kv0, %seqs, %drafted, %accepted" +
                 (isTree ? " path(%path)" : "") + " : (" + kv + ", " + seqs + ", " + seqs + ", " +
                 seqs + (isTree ? ", tensor<?x3xi32>" : "") + ") -> " + kv +
                 "\n  return %kv1 : " + kv + "\n}\n";
    break;
  }
  case 3:
    functions += head + ", %table: tensor<?x?xi32>, %lens: " + seqs + ") -> (" + keys + ", " +
                 values + ", " + seqs + ") {\n  %k, %v = llm.lookup_kv %kv0, %table, %lens " +
                 "{layer = " + text(random.between(0, cache.layers - 1)) + " : i32} : (" + kv +
                 ", tensor<?x?xi32>, " + seqs + ") -> (" + keys + ", " + values +
                 ")\n  %n = llm.sequence_lengths %kv0, %seqs : " + both + seqs +
                 "\n  return %k, %v, %n : " + keys + ", " + values + ", " + seqs + "\n}\n";
    break;
  default:
    functions += head + ") -> " + tensor({-1, cache.maxBlocks()}, "i32") +
                 " {\n  %t = llm.block_table %kv0, %seqs : " + both +
                 tensor({-1, cache.maxBlocks()}, "i32") +
                 "\n  return %t : " + tensor({-1, cache.maxBlocks()}, "i32") + "\n}\n";
  }
}

void ModuleGenerator::addDenseAttention() {
  std::string name = "f" + text(numFunctions++);
  bool isPadded = random.percent(60);
  int64_t kvHeads = random.between(1, 3), heads = kvHeads * random.between(1, 4);
  int64_t keyDim = random.between(1, 40),
          valueDim = random.percent(70) ? keyDim : random.between(1, 40);
  std::string element = random.word({"f32", "f16", "bf16"});
  std::string stored = random.percent(80) ? element : random.word({"f32", "f16", "bf16"});
  int64_t batch = random.between(1, 3), n = random.between(1, 9), m = random.between(1, 20);
  bool isStatic = random.percent(60);
  int64_t b = isStatic ? batch : -1, queries = isStatic ? n : -1, keys = isStatic ? m : -1;
  std::string q = isPadded ? tensor({b, queries, heads, keyDim}, element)
                           : tensor({-1, heads, keyDim}, element);
  std::string k =
      isPadded ? tensor({b, keys, kvHeads, keyDim}, stored) : tensor({-1, kvHeads, keyDim}, stored);
  std::string v = isPadded ? tensor({b, keys, kvHeads, valueDim}, stored)
                           : tensor({-1, kvHeads, valueDim}, stored);
  std::string o = isPadded ? tensor({b, queries, heads, valueDim}, element)
                           : tensor({-1, heads, valueDim}, element);
  std::string arguments, operands, types, attributes;
  auto add = [&](const std::string &word, const std::string &type) {
    arguments += ", %" + word + ": " + type;
    operands += " " + word + "(%" + word + ")";
    types += ", " + type;
  };
  if (isPadded && random.percent(35))
    add("mask", tensor({random.percent(50) ? 1 : b, random.percent(50) ? 1 : heads, queries, keys},
                       random.word({"i1", "f32"})));
  if (isPadded && random.percent(30))
    add("key_lengths", tensor({b}, "i32"));
  if (!isPadded) {
    add("cu_lengths", "tensor<?xi32>");
    if (random.percent(50))
      add("cu_key_lengths", "tensor<?xi32>");
  }
  if (random.percent(20))
    add("sink_logits", tensor({heads}, "f32"));
  if (random.percent(60))
    attributes += ", causal";
  if (random.percent(25)) {
    attributes += ", window = " + text(random.between(1, 12)) + " : i32";
    if (random.percent(50))
      attributes += ", num_sinks = " + text(random.between(0, 4)) + " : i32";
  }
  if (random.percent(20))
    attributes += ", soft_cap = 5.0 : f32";
  functions += "func.func @" + name + "(%q: " + q + ", %k: " + k + ", %v: " + v + arguments +
               ") -> " + o + " {\n  %o = llm.attention %q, %k, %v" + operands +
               " {num_heads = " + text(heads) + " : i32, scale = " + scale() + " : f32" +
               attributes + "} : (" + q + ", " + k + ", " + v + types + ") -> " + o +
               "\n  return %o : " + o + "\n}\n";
}

} // namespace llmir::testing
