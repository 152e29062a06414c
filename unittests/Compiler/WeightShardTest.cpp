// Packing a rank's part of a checkpoint gives the bytes of packing a checkpoint that holds nothing
// but that part.

#include "../ModelFiles/GGUFBuilder.h"
#include "llmir/Compiler/WeightPacker.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include <gmock/gmock.h>
#include <random>

using namespace mlir;
using namespace mlir::llm;
using ::llmir::GGUFBuilder;
using ::llmir::GGUFFile;
using ::llmir::GGUFType;

namespace {

struct Format {
  GGUFType type;
  int64_t elements, bytes; ///< Of a block.
  const char *irType;      ///< With R and C for rows and columns.
};

constexpr Format kFormats[] = {
    {GGUFType::F32, 1, 4, "tensor<RxCxf32>"},
    {GGUFType::BF16, 1, 2, "tensor<RxCxbf16>"},
    {GGUFType::Q8_0, 32, 34,
     "!llm.quantized_tensor<i8, [R, C], true, true, 1, 32, 8, scale = f16>"},
    {GGUFType::Q4_1, 32, 20,
     "!llm.quantized_tensor<i4, [R, C], false, true, 1, 32, 4, scale = f16, zero_point = f16>"}};

/// A matrix as a checkpoint stores it.
struct Matrix {
  int64_t rows, cols;
  std::vector<uint8_t> bytes;
};

Matrix randomMatrix(const Format &format, int64_t rows, int64_t cols, std::mt19937 &random) {
  Matrix matrix{rows, cols, {}};
  for (int64_t i = 0; i < rows * cols / format.elements * format.bytes; ++i)
    matrix.bytes.push_back(static_cast<uint8_t>(random()));
  return matrix;
}

/// Part `index` of `shards`, block by block.
Matrix cut(const Format &format, const Matrix &whole, int64_t dim, int64_t shards, int64_t index) {
  Matrix part{
      dim == 0 ? whole.rows / shards : whole.rows, dim == 1 ? whole.cols / shards : whole.cols, {}};
  int64_t blocks = whole.cols / format.elements, partBlocks = part.cols / format.elements;
  for (int64_t row = 0; row < part.rows; ++row)
    for (int64_t block = 0; block < partBlocks; ++block) {
      int64_t sourceRow = row + (dim == 0 ? index * part.rows : 0);
      int64_t sourceBlock = block + (dim == 1 ? index * partBlocks : 0);
      auto first = whole.bytes.begin() + (sourceRow * blocks + sourceBlock) * format.bytes;
      part.bytes.insert(part.bytes.end(), first, first + format.bytes);
    }
  return part;
}

std::string irType(const Format &format, int64_t rows, int64_t cols) {
  std::string text = format.irType;
  text.replace(text.find('R'), 1, std::to_string(rows));
  text.replace(text.find('C'), 1, std::to_string(cols));
  return text;
}

class WeightShardTest : public testing::Test {
protected:
  WeightShardTest() {
    context.loadDialect<LLMDialect>();
    context.getDiagEngine().registerHandler([](Diagnostic &) { return success(); });
  }

  void addMatrix(GGUFBuilder &builder, const std::string &name, const Format &format,
                 const Matrix &matrix) {
    builder.tensor(name, static_cast<uint32_t>(format.type),
                   {uint64_t(matrix.cols), uint64_t(matrix.rows)}, matrix.bytes);
  }

  /// The packed weights of `source` over a checkpoint.
  ::llmir::StatusOr<std::vector<uint8_t>> pack(GGUFBuilder &builder, const std::string &source) {
    std::vector<uint8_t> bytes = builder.build();
    auto file = GGUFFile::parse(bytes, "test.gguf");
    if (!file)
      return file.status();
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(source, &context);
    EXPECT_TRUE(module) << source;
    auto packer = WeightPacker::create(*module, *file);
    if (!packer)
      return packer.status();
    std::vector<uint8_t> packed;
    LLMIR_RETURN_IF_ERROR(packer->pack(
        [&](std::span<const uint8_t> piece) {
          packed.insert(packed.end(), piece.begin(), piece.end());
          return ::llmir::Status::ok();
        },
        {}));
    return packed;
  }

  MLIRContext context;
  std::mt19937 random{11};
};

} // namespace

TEST_F(WeightShardTest, PacksAPartLikeACheckpointOfThePart) {
  for (const Format &format : kFormats)
    for (int64_t dim : {0, 1})
      for (int64_t shards : {2, 3})
        for (int64_t index = 0; index < shards; ++index) {
          Matrix whole = randomMatrix(format, 60, 192, random);
          Matrix other = randomMatrix(format, 60, 192, random);
          Matrix part = cut(format, whole, dim, shards, index);
          GGUFBuilder all, mine;
          addMatrix(all, "w", format, whole);
          addMatrix(all, "u", format, other);
          addMatrix(mine, "w", format, part);
          addMatrix(mine, "u", format, cut(format, other, dim, shards, index));
          std::string shard = " shard<" + std::to_string(dim) + ", " + std::to_string(shards) +
                              ", " + std::to_string(index) + ">";
          std::string single = " : " + irType(format, part.rows, part.cols);
          std::string both = " : " + irType(format, 2 * part.rows, part.cols);
          std::string sources = " sources([\"w\", \"u\"]) arrangement(interleave)";
          for (auto [head, type] : {std::pair{std::string(), single}, std::pair{sources, both}}) {
            auto actual = pack(all, "llm.weight @w" + head + shard + " offset(0)" + type);
            auto expected = pack(mine, "llm.weight @w" + head + " offset(0)" + type);
            ASSERT_TRUE(actual.isOk()) << actual.status().message();
            ASSERT_TRUE(expected.isOk()) << expected.status().message();
            EXPECT_EQ(*actual, *expected) << head << shard << type;
          }
        }
}

TEST_F(WeightShardTest, PacksAPartOfAVector) {
  GGUFBuilder builder;
  ::llmir::ByteWriter data;
  for (int i = 0; i < 40; ++i)
    data.put(static_cast<float>(i));
  builder.tensor("v", static_cast<uint32_t>(GGUFType::F32), {40}, data.bytes);
  auto packed = pack(builder, "llm.weight @v shard<0, 2, 1> offset(0) : tensor<20xf32>");
  ASSERT_TRUE(packed.isOk()) << packed.status().message();
  ASSERT_EQ(packed->size(), 128u);
  for (int i = 0; i < 32; ++i) {
    float value = -1;
    std::memcpy(&value, packed->data() + i * 4, 4);
    EXPECT_EQ(value, i < 20 ? static_cast<float>(20 + i) : 0.0f);
  }
}

TEST_F(WeightShardTest, ChecksTheWholeTensor) {
  GGUFBuilder builder;
  addMatrix(builder, "w", kFormats[0], randomMatrix(kFormats[0], 60, 192, random));
  auto packed = pack(builder, "llm.weight @w shard<1, 4, 0> offset(0) : tensor<60x32xf32>");
  EXPECT_EQ(packed.status().message(),
            "test.gguf: tensor 'w': expected shape [60, 128], but got [60, 192]");
}
