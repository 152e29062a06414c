// NVIDIA's GPUs: the NVVM dialect, LLVM's PTX, and ptxas: see PTX.h.

#include "llmir/Target/CUDA/PTX.h"

#include "llmir/Target/GPU/ExternalTool.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Target/LLVM/NVVM/Target.h"
#include "mlir/Tools/mlir-translate/Translation.h"

namespace mlir::llm {

static constexpr StringLiteral kTriple = "nvptx64-nvidia-cuda";
static constexpr StringLiteral kDefaultChip = "sm_90";

FailureOr<DeviceCode> generatePTX(ModuleOp module, StringRef chip) {
  if (failed(checkChip(module, kTriple, chip, kDefaultChip)))
    return failure();
  GPUTarget target; // Every NVIDIA GPU has subgroups of 32 and 48 KiB of static shared memory.
  FailureOr<gpu::GPUModuleOp> kernels = prepareKernels(module, target);
  if (failed(kernels) ||
      failed(lowerKernels(*kernels, target.subgroupSize, [](OpPassManager &manager) {
        manager.addPass(createConvertGpuOpsToNVVMOps());
      })))
    return failure();
  // Without features LLVM takes the first PTX version that knows the chip.
  auto attribute = NVVM::NVVMTargetAttr::get(module.getContext(), /*optLevel=*/3, kTriple, chip);
  FailureOr<DeviceCode> text =
      serializeKernels(*kernels, attribute, gpu::CompilationTarget::Assembly);
  // The text may come with its terminating zero.
  if (succeeded(text))
    while (!text->empty() && text->back() == '\0')
      text->pop_back();
  return text;
}

FailureOr<DeviceCode> generateCubin(ModuleOp module, StringRef chip) {
  FailureOr<DeviceCode> text = generatePTX(module, chip);
  if (failed(text))
    return failure();
  ToolSearch search;
  search.namesOnPath = {"ptxas"};
  for (const char *variable : {"CUDA_ROOT", "CUDA_HOME", "CUDA_PATH"})
    search.variables.emplace_back(variable, "bin/ptxas");
  search.files = {"/usr/local/cuda/bin/ptxas"};
  search.belowFolder = "bin/ptxas";
  search.package = "the CUDA toolkit";
  ::llmir::StatusOr<std::string> assembler = findTool("ptxas", search);
  if (!assembler)
    return emitError(module.getLoc()) << assembler.status().message();
  ::llmir::StatusOr<std::string> cubin =
      runTool(*assembler, {"-arch", chip.str(), "-o", "{out}", "{in}"},
              StringRef(text->data(), text->size()));
  if (!cubin)
    return emitError(module.getLoc()) << cubin.status().message();
  return DeviceCode(cubin->begin(), cubin->end());
}

using Generator = FailureOr<DeviceCode> (*)(ModuleOp module, StringRef chip);

static void addTranslation(StringRef name, StringRef description, Generator generate) {
  TranslateFromMLIRRegistration registration(
      name, description,
      [generate](ModuleOp module, raw_ostream &output) -> LogicalResult {
        FailureOr<DeviceCode> code = generate(module, gpuChipOption(kDefaultChip));
        if (failed(code))
          return failure();
        output.write(code->data(), code->size());
        return success();
      },
      [](DialectRegistry &registry) {
        registerDeviceCodeDialects(registry);
        NVVM::registerNVVMTargetInterfaceExternalModels(registry);
      });
}

void registerCUDATranslations() {
  gpuChipOption(kDefaultChip);
  gpuToolsOption();
  addTranslation("llmir-to-ptx", "Generate PTX for an NVIDIA GPU from kernels or llm ops",
                 generatePTX);
  addTranslation("llmir-to-cubin", "Generate a cubin for an NVIDIA GPU (needs ptxas)",
                 generateCubin);
}

} // namespace mlir::llm
