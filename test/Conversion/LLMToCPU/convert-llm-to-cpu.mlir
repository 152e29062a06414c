// The seed's example: blocks are found by the runtime, keys and values written and read by tile
// functions, and only the tensor that is returned outlives the call.
// RUN: llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-cpu=features=avx2,fma,f16c -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir --implicit-check-not=!llm. --implicit-check-not='= llm.'
// RUN: llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-cpu=features=avx2,fma,f16c --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS: convert-llm-to-cpu: 4 ops-converted

// CHECK-DAG: llvm.func @llmir_rt_cache_append(!llvm.ptr, !llvm.ptr, i64, i64, !llvm.ptr, !llvm.ptr) -> i32
// CHECK-DAG: llvm.func @llmir_rt_cache_block_table(!llvm.ptr, !llvm.ptr, i64, i64, !llvm.ptr) -> i32
// CHECK-DAG: llvm.func @llmir_rt_cache_base(!llvm.ptr, !llvm.ptr) -> !llvm.ptr
// One layout for both uses of the cache.
// CHECK-DAG: llvm.mlir.global internal constant @[[LAYOUT:cache_layout_0]](

// CHECK: func.func @attend(%[[CACHE:[^:]*]]: !llvm.ptr, %[[K:[^:]*]]: memref<2x1x16x64xf16>, %[[V:[^:]*]]: memref<2x1x16x64xf16>, %[[SEQS:[^:]*]]: memref<2xi32>, %[[Q:[^:]*]]: memref<2x1x16x64xf16>, %[[LENS:[^:]*]]: memref<2xi32>)
// CHECK-SAME: -> (memref<2x1x16x64xf16>, !llvm.ptr) attributes {llvm.emit_c_interface}
// CHECK-DAG: %[[LAYOUT_AT:.*]] = llvm.mlir.addressof @[[LAYOUT]]
// CHECK-DAG: %[[BLOCKS:.*]] = memref.alloc() : memref<2x1xi32>
// CHECK-DAG: %[[SLOTS:.*]] = memref.alloc() : memref<2xi32>
// CHECK: llvm.call @llmir_rt_cache_append(%[[CACHE]],
// CHECK: %[[BASE:.*]] = llvm.call @llmir_rt_cache_base(%[[CACHE]], %[[LAYOUT_AT]])
// Nothing is written into a cache of another layout, or that is full.
// CHECK: %[[OK:.*]] = llvm.icmp "ne" %[[BASE]]
// CHECK: scf.if %[[OK]] {
// CHECK: func.call @store_kv_f16_12_16_64_64_16(
// CHECK: %[[TABLE:.*]] = memref.alloc() : memref<2x128xi32>
// CHECK: llvm.call @llmir_rt_cache_block_table(%[[CACHE]],
// CHECK: %[[OUTPUT:.*]] = memref.alloc() : memref<2x1x16x64xf16>
// CHECK: scf.if
// CHECK: func.call @attention_16_f16_12_16_64_64_16_3FC0000000000000(
// CHECK: } else {
// CHECK: memref.store
// CHECK-DAG: memref.dealloc %[[BLOCKS]]
// CHECK-DAG: memref.dealloc %[[TABLE]]
// CHECK-NOT: memref.dealloc %[[OUTPUT]]
// CHECK: return %[[OUTPUT]], %[[CACHE]]

// CHECK: func.func private @store_kv_f16_12_16_64_64_16
// CHECK-SAME: llvm.linkage = #llvm.linkage<internal>
// CHECK: func.func private @attention_16_f16_12_16_64_64_16_3FC0000000000000
// CHECK-SAME: llvm.linkage = #llvm.linkage<internal>
