// Attention's inner loops as instructions, on any host: keys and values are converted as they are
// loaded, the next tile is fetched meanwhile, and nothing is summed over lanes in the loops.
// RUN: llmir-opt %s --llm-cpu-pipeline='features=avx2,fma,f16c' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c \
// RUN:   | FileCheck %s --check-prefix=AVX2 --implicit-check-not=%%zmm --implicit-check-not=vhaddps
// RUN: llmir-opt %s --llm-cpu-pipeline='features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni \
// RUN:   | FileCheck %s --check-prefix=AVX512 --implicit-check-not=vhaddps

// AVX2-LABEL: {{^}}attention_9_f16_{{.*}}_prefetch:
// AVX2: prefetcht1
// AVX2-LABEL: {{^}}attention_9_f16_{{.*}}_split_1:
// AVX2: prefetcht1
// AVX2: vbroadcastss {{.*}}, %ymm
// AVX2: vcvtph2ps {{.*}}({{.*}}), %ymm
// AVX2: vfmadd231ps %ymm
// AVX2: vcvtph2ps {{.*}}({{.*}}), %ymm
// AVX2: vfmadd231ps %ymm

// AVX512-LABEL: {{^}}attention_9_f16_{{.*}}_split_1:
// AVX512: prefetcht1
// AVX512: vcvtph2ps {{.*}}({{.*}}), %zmm
// AVX512: vfmadd231ps {{.*}}%zmm
// AVX512: vcvtph2ps {{.*}}({{.*}}), %zmm
// AVX512: vfmadd231ps {{.*}}%zmm
!kv = !llm.paged_kv_cache<f16, 2, 3, 64, 16, 4096>
func.func @attend(%q: tensor<?x9x64xf32>, %kv: !kv, %table: tensor<?x?xi32>, %lens: tensor<?xi32>,
    %cu: tensor<?xi32>) -> tensor<?x9x64xf32> {
  %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu)
      {num_heads = 9 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (tensor<?x9x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>)
      -> tensor<?x9x64xf32>
  return %o : tensor<?x9x64xf32>
}
