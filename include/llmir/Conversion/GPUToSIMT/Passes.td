// The pass that runs GPU kernels on a CPU.

#ifndef LLMIR_CONVERSION_GPUTOSIMT_PASSES_TD
#define LLMIR_CONVERSION_GPUTOSIMT_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertGPUToSIMTPass : Pass<"convert-gpu-to-simt", "::mlir::ModuleOp"> {
  let summary = "Turn GPU kernels and their launches into CPU code, thread by thread";
  let description = [{
    Every kernel becomes a function of the host that runs one thread; a launch becomes a call of
    the runtime (llmir/SIMT/SIMT.h), which runs a block's threads as fibers. Barriers, shuffles,
    reductions over subgroups and blocks, and workgroup memory keep their meaning. Device memory is
    host memory.

    What is wrong in a kernel is recorded at run time (llmir/SIMT/Faults.h): accesses out of bounds,
    which are not done; races in workgroup memory and reads of what nobody wrote there; barriers and
    shuffles that not all threads reach.

    Before:

    ```mlir
    module attributes {gpu.container_module} {
      func.func @host(%data: memref<?xf32>) {
        %c1 = arith.constant 1 : index
        %c64 = arith.constant 64 : index
        gpu.launch_func @kernels::@twice blocks in (%c1, %c1, %c1) threads in (%c64, %c1, %c1)
            args(%data : memref<?xf32>)
        return
      }
      gpu.module @kernels {
        gpu.func @twice(%data: memref<?xf32>) kernel {
          %i = gpu.thread_id x
          %x = memref.load %data[%i] : memref<?xf32>
          %y = arith.addf %x, %x : f32
          memref.store %y, %data[%i] : memref<?xf32>
          gpu.return
        }
      }
    }
    ```

    After, in part:

    ```mlir
    func.func @host(%data: memref<?xf32>) {
    constant @kernels_twice : (!llvm.ptr, !llvm.ptr) -> ()
    llvm.call @llmir_simt_launch(...
    func.func private @kernels_twice(%arguments: !llvm.ptr, %thread: !llvm.ptr)
    %inside = arith.cmpi ult, %i, %size : index
    %x = scf.if %inside -> (f32) {
    %loaded = memref.load %device[%i] : memref<?xf32>
    scf.yield %loaded : f32
    } else {
    llvm.call @llmir_simt_out_of_bounds(%thread, ...
    %y = arith.addf %x, %x : f32
    memref.store %y, %device[%i] : memref<?xf32>
    ```
  }];
  let options = [
    Option<"subgroupSize", "subgroup-size", "int64_t", "32",
      "Threads of a subgroup, as the kernels expect them.">,
    Option<"checks", "checks", "bool", "true",
      "Record accesses out of bounds and races in workgroup memory.">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"
  ];
}

#endif // LLMIR_CONVERSION_GPUTOSIMT_PASSES_TD
