// Chooses parameters of caches within the constraints KVT-1 to KVT-18.

#include "CacheTypeGenerator.h"

namespace llmir::testing {

/// The named parameters of one side: its storage and what scales that needs.
static std::string chooseSide(RandomChoices &random, const std::string &side,
                              const std::string &element, int64_t channels, bool &storesScales) {
  std::string storage = element;
  if (random.percent(60))
    storage = random.word({"f32", "f16", "bf16", "f8E4M3FN", "f8E5M2", "i8", "i4"});
  if (storage == "i4" && channels % 2 != 0)
    storage = "i8";
  std::string text;
  if (storage != element)
    text = ", " + side + "_storage = " + storage;
  bool isFloat8 = storage[0] == 'f' && storage[1] == '8';
  if (storage[0] != 'i' && !(isFloat8 && random.percent(60)))
    return text;
  std::string scales = random.word({"tensor", "head", "token", "group"});
  // Groups are of half a head for i4.
  int64_t span = storage == "i4" ? channels / 2 : channels;
  int64_t group = random.oneOf<int64_t>({1, 2, 4, 8, 16, 32});
  if (scales == "group" && span % group != 0)
    scales = "token";
  text += ", " + side + "_scales = " + scales;
  if (scales == "group")
    text += ", " + side + "_scale_group = " + std::to_string(group);
  storesScales |= scales == "token" || scales == "group";
  return text;
}

CacheChoice chooseCache(RandomChoices &random, int64_t layers) {
  CacheChoice cache;
  cache.element = random.word({"f32", "f16", "bf16"});
  cache.layers = layers ? layers : random.between(1, 3);
  cache.kvHeads = random.between(1, 3);
  cache.keyDim =
      random.percent(50) ? random.oneOf<int64_t>({8, 16, 32, 64}) : random.between(1, 40);
  cache.valueDim = random.percent(75) ? cache.keyDim : random.between(1, 40);
  cache.blockSize = random.percent(50) ? 16 : random.oneOf<int64_t>({1, 2, 3, 5, 8, 32, 64});
  cache.maxSeqLen = random.between(96, 300);
  cache.window = cache.sinks = 0;
  std::string extra;
  bool storesScales = false;
  bool isPaired = random.percent(4) && cache.blockSize % 2 == 0;
  if (isPaired) {
    cache.element = "bf16";
    cache.keyDim += cache.keyDim % 2;
    cache.valueDim += cache.valueDim % 2;
    extra = ", layout = pairs";
  } else {
    extra = chooseSide(random, "key", cache.element, cache.keyDim, storesScales) +
            chooseSide(random, "value", cache.element, cache.valueDim, storesScales);
    if (random.percent(8))
      extra += ", layout = token_major";
  }
  if (cache.valueDim != cache.keyDim)
    extra += ", value_head_dim = " + std::to_string(cache.valueDim);
  if (storesScales && random.percent(60))
    extra += ", scale = " + random.word({"f16", "bf16"});
  if (random.percent(20)) {
    cache.window = random.between(1, 60);
    extra += ", window = " + std::to_string(cache.window);
    if (random.percent(50)) {
      cache.sinks = random.between(1, 30);
      extra += ", sinks = " + std::to_string(cache.sinks);
    }
  }
  cache.type = "!llm.paged_kv_cache<" + cache.element;
  for (int64_t number :
       {cache.layers, cache.kvHeads, cache.keyDim, cache.blockSize, cache.maxSeqLen})
    cache.type += ", " + std::to_string(number);
  cache.type += extra + ">";
  return cache;
}

} // namespace llmir::testing
