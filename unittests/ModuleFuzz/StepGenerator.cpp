// Steps of small models: layers of attention and a gated network between an embedding and logits,
// in the forms that checkpoints have, and now and then in one that no pipeline lowers.

#include "ModuleGenerator.h"

namespace llmir::testing {

static std::string text(int64_t number) { return std::to_string(number); }

std::string ModuleGenerator::addMatrix(const std::string &name, int64_t rows, int64_t columns) {
  std::string type = matrixType;
  if (random.percent(10))
    type = random.word({"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"});
  if (columns % 32 != 0 && type[0] == 'q')
    type = "f32";
  std::string sizes = text(rows) + ", " + text(columns);
  if (type == "q8_0")
    type = "!llm.quantized_tensor<i8, [" + sizes + "], true, true, 1, 32, 8, scale = f16>";
  else if (type == "q4_0")
    type = "!llm.quantized_tensor<i4, [" + sizes + "], true, true, 1, 32, 4, scale = f16>";
  else if (type == "q4_1")
    type = "!llm.quantized_tensor<i4, [" + sizes +
           "], false, true, 1, 32, 4, scale = f16, zero_point = f16>";
  else
    type = "tensor<" + text(rows) + "x" + text(columns) + "x" + type + ">";
  weights += "llm.weight @" + name + " : " + type + "\n";
  return name;
}

std::string ModuleGenerator::addVector(const std::string &name, int64_t size) {
  weights += "llm.weight @" + name + " : tensor<" + text(size) + "xf32>\n";
  return name;
}

std::string ModuleGenerator::addNorm(const std::string &input, const std::string &name,
                                     int64_t width) {
  std::string result = newValue(), type = "tensor<?x" + text(width) + "xf32>";
  std::string weight = addVector(name + ".norm", width);
  if (random.percent(3)) {
    std::string bias = addVector(name + ".norm_bias", width);
    line(result + " = llm.layer_norm " + input + ", @" + weight + " bias(@" + bias +
         ") epsilon(1.0e-5) : " + type);
  } else {
    line(result + " = llm.rms_norm " + input + ", @" + weight + " epsilon(" +
         random.word({"1.0e-5", "1.0e-6"}) + ") : " + type);
  }
  return result;
}

std::string ModuleGenerator::rope(const CacheChoice &cache, int64_t heads, const std::string &q,
                                  const std::string &k) {
  if (cache.keyDim < 2 || random.percent(10))
    return "";
  int64_t rotary = cache.keyDim / 2 * 2;
  if (rotary > 2 && random.percent(20))
    rotary -= 2;
  std::string scaling;
  if (random.percent(30))
    scaling = " scaling(<" +
              random.word({"linear, factor = 2.0", "ntk, factor = 4.0",
                           "yarn, factor = 4.0, original = 64",
                           "llama3, factor = 8.0, original = 64", "linear, factor = 1.0"}) +
              ">)";
  std::string types = "tensor<?x" + text(heads) + "x" + text(cache.keyDim) + "xf32>, tensor<?x" +
                      text(cache.kvHeads) + "x" + text(cache.keyDim) + "xf32>, tensor<?xi32>";
  return "llm.rope " + q + ", " + k + " positions(%positions) theta(" +
         random.word({"1.0e+4", "5.0e+5"}) + ") rotary_dim(" + text(rotary) + ") " +
         random.word({"half", "interleaved"}) + scaling + " : " + types;
}

void ModuleGenerator::addLayer(int64_t layer, const CacheChoice &cache, const StepSizes &sizes) {
  std::string prefix = "l" + text(layer);
  std::string x = "tensor<?x" + text(sizes.width) + "xf32>";
  std::string query = "tensor<?x" + text(sizes.heads) + "x" + text(cache.keyDim) + "xf32>";
  std::string keys = "tensor<?x" + text(cache.kvHeads) + "x" + text(cache.keyDim) + "xf32>";
  std::string values = "tensor<?x" + text(cache.kvHeads) + "x" + text(cache.valueDim) + "xf32>";
  std::string output = "tensor<?x" + text(sizes.heads) + "x" + text(cache.valueDim) + "xf32>";
  std::string normed = addNorm(stream, prefix + ".attn", sizes.width);
  bool hasBias = random.percent(15);
  auto project = [&](const std::string &name, int64_t rows, const std::string &type) {
    std::string result = newValue();
    std::string weight = addMatrix(prefix + "." + name, rows, sizes.width);
    std::string bias =
        hasBias ? " bias(@" + addVector(prefix + "." + name + "_bias", rows) + ")" : "";
    line(result + " = llm.linear " + normed + ", @" + weight + bias + " : (" + x + ") -> " + type);
    return result;
  };
  std::string q = project("q", sizes.heads * cache.keyDim, query);
  std::string k = project("k", cache.kvHeads * cache.keyDim, keys);
  std::string v = project("v", cache.kvHeads * cache.valueDim, values);
  std::string turned = rope(cache, sizes.heads, q, k);
  if (!turned.empty()) {
    std::string r = newValue();
    line(r + ":2 = " + turned);
    q = r + "#0";
    k = r + "#1";
  }
  std::string before = layer == 0 ? "%kv" : "%kv" + text(layer - 1), now = "%kv" + text(layer);
  std::string number = " {layer = " + text(layer) + " : i32";
  line(now + " = llm.store_kv " + before + ", " + k + ", " + v + ", %slots" + number +
       "} : (!kv, " + keys + ", " + values + ", tensor<?xi32>) -> !kv");
  std::string sinks, sinksType, attributes;
  if (random.percent(10)) {
    std::string loaded = newValue();
    line(loaded + " = llm.load_weight @" + addVector(prefix + ".sinks", sizes.heads) +
         " : tensor<" + text(sizes.heads) + "xf32>");
    sinks = " sink_logits(" + loaded + ")";
    sinksType = ", tensor<" + text(sizes.heads) + "xf32>";
  }
  if (random.percent(15))
    attributes += ", soft_cap = 20.0 : f32";
  std::string a = newValue(), o = newValue(), y = newValue();
  line(a + " = llm.paged_attention " + q + ", " + now +
       ", %table, %context_lengths cu_lengths(%cu_lengths)" + sinks + number +
       ", num_heads = " + text(sizes.heads) + " : i32, head_dim = " + text(cache.keyDim) +
       " : i32, scale = " + scale() + " : f32" + attributes + "} : (" + query +
       ", !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>" + sinksType + ") -> " + output);
  line(o + " = llm.linear " + a + ", @" +
       addMatrix(prefix + ".o", sizes.width, sizes.heads * cache.valueDim) + " : (" + output +
       ") -> " + x);
  line(y + " = arith.addf " + (random.percent(50) ? stream + ", " + o : o + ", " + stream) + " : " +
       x);
  stream = y;
  if (random.percent(15))
    return; // Attention alone.
  normed = addNorm(stream, prefix + ".ffn", sizes.width);
  std::string h = "tensor<?x" + text(sizes.hidden) + "xf32>";
  hasBias = false;
  std::string gate = project("gate", sizes.hidden, h), up = project("up", sizes.hidden, h);
  std::string inner = newValue(), down = newValue(), next = newValue();
  line(inner + " = llm." + (random.percent(3) ? "geglu " : "swiglu ") + gate + ", " + up + " : " +
       h);
  line(down + " = llm.linear " + inner + ", @" +
       addMatrix(prefix + ".down", sizes.width, sizes.hidden) + " : (" + h + ") -> " + x);
  line(next + " = arith.addf " + stream + ", " + down + " : " + x);
  stream = next;
}

void ModuleGenerator::addStep() {
  CacheChoice cache = chooseCache(random);
  aliases += "!kv = " + cache.type + "\n";
  matrixType = random.word({"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"});
  StepSizes sizes;
  sizes.width = 32 * random.between(1, 3);
  sizes.heads = cache.kvHeads * random.between(1, 3);
  sizes.vocabulary = random.between(5, 70);
  sizes.hidden = 32 * random.between(1, 4);
  body.clear();
  stream = newValue();
  std::string x = "tensor<?x" + text(sizes.width) + "xf32>";
  std::string table = addMatrix("embd", sizes.vocabulary, sizes.width);
  line(stream + " = llm.embedding %tokens, @" + table + " : tensor<?xi32> -> " + x);
  for (int64_t layer = 0; layer < cache.layers; ++layer)
    addLayer(layer, cache, sizes);
  std::string normed = addNorm(stream, "output", sizes.width);
  std::string logits = "tensor<?x" + text(sizes.vocabulary) + "xf32>";
  bool isTied = random.percent(50);
  std::string head = isTied ? table : addMatrix("head", sizes.vocabulary, sizes.width);
  line("%logits = llm.logits " + normed + ", %rows, @" + head + " : (" + x +
       ", tensor<?xi32>) -> " + logits);
  functions +=
      "func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: "
      "tensor<?xi32>, %cu_lengths: tensor<?xi32>, %context_lengths: tensor<?xi32>, %kv: !kv, "
      "%slots: tensor<?xi32>, %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (" +
      logits + ", !kv) attributes {llm.step} {\n" + body + "  return %logits, %kv" +
      text(cache.layers - 1) + " : " + logits + ", !kv\n}\n";
}

} // namespace llmir::testing
