// Writes random modules of the `llm` dialect that verify: op families and forms chosen by a seed,
// sizes odd and small. Whether a pipeline can lower one is not its business.

#ifndef LLMIR_UNITTESTS_MODULEFUZZ_MODULEGENERATOR_H
#define LLMIR_UNITTESTS_MODULEFUZZ_MODULEGENERATOR_H

#include "CacheTypeGenerator.h"

#include <cstdint>
#include <string>
#include <vector>

namespace llmir::testing {

/// Makes one module.
class ModuleGenerator {
public:
  explicit ModuleGenerator(uint64_t seed) : random(seed) {}

  /// The text of the module.
  std::string generate();

private:
  // One function (and what it needs beside) each.
  void addStep();
  void addCacheFunction();
  void addCacheLoop();
  void addSequenceFunction();
  void addDenseAttention();
  void addWrittenAttention();
  void addTransformerFunction();
  void addQuantizationFunction();
  void addExchangeFunction();

  // Parts of functions over caches.
  struct Attention {
    std::string operands;   ///< Optional ones, in the op's order, each with its word.
    std::string types;      ///< Of these operands, each with a comma before.
    std::string arguments;  ///< Of the function, each with a comma before.
    std::string attributes; ///< Optional ones, each with a comma before.
  };
  Attention chooseAttention(const CacheChoice &cache, int64_t heads, bool isRagged, bool cuLengths,
                            const std::string &layer);
  std::string scale();

  // Parts of steps.
  struct StepSizes {
    int64_t width, heads, vocabulary, hidden;
  };
  /// A weight of `rows` x `columns` in a type of the step's choice; returns its name.
  std::string addMatrix(const std::string &name, int64_t rows, int64_t columns);
  std::string addVector(const std::string &name, int64_t size);
  std::string addNorm(const std::string &input, const std::string &name, int64_t width);
  void addLayer(int64_t layer, const CacheChoice &cache, const StepSizes &sizes);
  std::string rope(const CacheChoice &cache, int64_t heads, const std::string &q,
                   const std::string &k);

  std::string newValue() { return "%v" + std::to_string(numValues++); }
  void line(const std::string &text) { body += "  " + text + "\n"; }

  RandomChoices random;
  std::string aliases, weights, body, functions;
  std::string matrixType, stream;
  int64_t numValues = 0, numFunctions = 0;
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_MODULEFUZZ_MODULEGENERATOR_H
