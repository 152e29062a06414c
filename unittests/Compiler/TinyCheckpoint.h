// A Llama checkpoint of two small layers with grouped heads and a tied head, as bytes of a GGUF
// file: random weights, a vocabulary of single bytes.

#ifndef LLMIR_UNITTESTS_COMPILER_TINYCHECKPOINT_H
#define LLMIR_UNITTESTS_COMPILER_TINYCHECKPOINT_H

#include "llmir/Base/Float16.h"
#include "llmir/ModelFiles/GGUF.h"

#include "../ModelFiles/GGUFBuilder.h"

#include <random>
#include <string>
#include <vector>

namespace llmir::testing {

/// The types of a checkpoint's matrices, and what their number depends on.
struct TinyCheckpointTypes {
  GGUFType embedding = GGUFType::Q8_0; ///< Also the head.
  GGUFType layers = GGUFType::Q4_1;
  uint32_t feedForwardWidth = 96;
  uint32_t contextLength = 64;
};

/// Writes one. The matrices may be f32, q8_0 or q4_1.
class TinyCheckpoint {
public:
  static constexpr uint32_t numLayers = 2, width = 64, numHeads = 4, numKVHeads = 2, headDim = 16,
                            vocabularySize = 256;

  static std::vector<uint8_t> build(const TinyCheckpointTypes &types) {
    TinyCheckpoint checkpoint;
    checkpoint.types = types;
    checkpoint.addMetadata();
    checkpoint.addMatrix("token_embd.weight", types.embedding, vocabularySize, width);
    for (uint32_t layer = 0; layer < numLayers; ++layer)
      checkpoint.addLayer("blk." + std::to_string(layer) + ".", types.layers);
    checkpoint.addNorm("output_norm.weight");
    return checkpoint.builder_.build();
  }

private:
  void addMetadata() {
    std::vector<std::string> tokens;
    for (uint32_t token = 0; token < vocabularySize; ++token)
      tokens.push_back("t" + std::to_string(token));
    builder_.string("general.architecture", "llama")
        .string("general.name", "tiny")
        .string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", "gpt-2")
        .strings("tokenizer.ggml.tokens", tokens)
        .strings("tokenizer.ggml.merges", {})
        .scalar<float>("llama.attention.layer_norm_rms_epsilon", GGUFValueType::Float32, 1e-5f);
    addCount("llama.block_count", numLayers);
    addCount("llama.embedding_length", width);
    addCount("llama.feed_forward_length", types.feedForwardWidth);
    addCount("llama.attention.head_count", numHeads);
    addCount("llama.attention.head_count_kv", numKVHeads);
    addCount("llama.context_length", types.contextLength);
  }
  void addCount(std::string_view key, uint32_t value) {
    builder_.scalar(key, GGUFValueType::UInt32, value);
  }

  void addLayer(const std::string &prefix, GGUFType type) {
    addNorm(prefix + "attn_norm.weight");
    addMatrix(prefix + "attn_q.weight", type, numHeads * headDim, width);
    addMatrix(prefix + "attn_k.weight", type, numKVHeads * headDim, width);
    addMatrix(prefix + "attn_v.weight", type, numKVHeads * headDim, width);
    addMatrix(prefix + "attn_output.weight", type, width, numHeads * headDim);
    addNorm(prefix + "ffn_norm.weight");
    addMatrix(prefix + "ffn_gate.weight", type, types.feedForwardWidth, width);
    addMatrix(prefix + "ffn_up.weight", type, types.feedForwardWidth, width);
    addMatrix(prefix + "ffn_down.weight", type, width, types.feedForwardWidth);
  }

  void addNorm(const std::string &name) {
    ByteWriter data;
    for (uint32_t i = 0; i < width; ++i)
      data.put(1.0f + uniform() / 4);
    builder_.tensor(name, static_cast<uint32_t>(GGUFType::F32), {width}, data.bytes);
  }
  void addMatrix(const std::string &name, GGUFType type, uint32_t rows, uint32_t columns) {
    ByteWriter data;
    if (type == GGUFType::F32)
      for (uint32_t i = 0; i < rows * columns; ++i)
        data.put(uniform() / 4);
    else
      for (uint32_t block = 0; block < rows * columns / 32; ++block)
        addBlock(data, type);
    builder_.tensor(name, static_cast<uint32_t>(type), {columns, rows}, data.bytes);
  }
  /// 32 values between about -1/4 and 1/4.
  void addBlock(ByteWriter &data, GGUFType type) {
    bool isEightBits = type == GGUFType::Q8_0;
    float scale = (1.5f + uniform() / 2) / (isEightBits ? 1024 : 64);
    data.put(floatToHalf(scale));
    if (!isEightBits)
      data.put(floatToHalf(-7.5f * scale));
    for (int i = 0; i < (isEightBits ? 32 : 16); ++i)
      data.put(static_cast<uint8_t>(random_() >> 24));
  }
  /// Between -1 and 1, the same on every host.
  float uniform() { return static_cast<float>(random_() >> 8) * 0x1p-23f - 1.0f; }

  TinyCheckpointTypes types;
  GGUFBuilder builder_;
  std::mt19937 random_{7};
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_COMPILER_TINYCHECKPOINT_H
