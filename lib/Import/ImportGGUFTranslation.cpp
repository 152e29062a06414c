// `--import-gguf` of llmir-translate: a GGUF file in, readable `llm` IR out.

#include "llmir/Import/GGUFImport.h"
#include "llmir/ModelFiles/GGUF.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

namespace cl = llvm::cl;

namespace mlir::llm {
namespace {

/// The options, which exist once the translation is registered.
struct ImportGGUFCommandLine {
  cl::opt<KVElementType> kvElementType{
      "kv-type", cl::desc("Element type of the imported model's KV cache"),
      cl::init(KVElementType::F16),
      cl::values(clEnumValN(KVElementType::F32, "f32", "32-bit floats"),
                 clEnumValN(KVElementType::F16, "f16", "16-bit floats"),
                 clEnumValN(KVElementType::BF16, "bf16", "bfloat16"),
                 clEnumValN(KVElementType::F8E4M3FN, "f8E4M3FN", "8-bit floats, scales by token"),
                 clEnumValN(KVElementType::F8E5M2, "f8E5M2", "8-bit floats, scales by token"),
                 clEnumValN(KVElementType::I8, "i8", "8-bit integers, scales by token"),
                 clEnumValN(KVElementType::I4, "i4", "4-bit integers, scales by 32 channels"))};
  cl::opt<int64_t> blockSize{"block-size", cl::desc("Tokens a block of the KV cache"),
                             cl::init(16)};
  cl::opt<int64_t> maxSequenceLength{
      "max-seq-len",
      cl::desc("Tokens that a sequence may have (0: the context length that the file says)"),
      cl::init(0)};

  ImportOptions getOptions() const {
    ImportOptions options;
    options.kvElementType = kvElementType;
    options.blockSize = blockSize;
    if (maxSequenceLength != 0)
      options.maxSequenceLength = maxSequenceLength;
    return options;
  }
};

} // namespace

static LogicalResult translateGGUF(const ImportOptions &options, llvm::SourceMgr &sources,
                                   llvm::raw_ostream &output, MLIRContext *context) {
  const llvm::MemoryBuffer *buffer = sources.getMemoryBuffer(sources.getMainFileID());
  std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t *>(buffer->getBufferStart()),
                                 buffer->getBufferSize());
  auto file = ::llmir::GGUFFile::parse(bytes, buffer->getBufferIdentifier().str());
  if (!file)
    return mlir::emitError(UnknownLoc::get(context)) << file.status().message();
  OwningOpRef<ModuleOp> module = importGGUF(context, *file, options);
  if (!module)
    return failure();
  module->print(output, OpPrintingFlags().printNameLocAsPrefix());
  output << '\n';
  return success();
}

void registerImportGGUFTranslation() {
  static ImportGGUFCommandLine commandLine;
  TranslateRegistration registration("import-gguf", "import a GGUF checkpoint as llm IR",
                                     [](const std::shared_ptr<llvm::SourceMgr> &sources,
                                        llvm::raw_ostream &output, MLIRContext *context) {
                                       return translateGGUF(commandLine.getOptions(), *sources,
                                                            output, context);
                                     });
}

} // namespace mlir::llm
