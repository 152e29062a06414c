// Dots of attention that are not of f32, as instructions, on any host: i8 keys and values are words
// of two neighbours, whose products are exact; pairs of bf16 are multiplied as they are stored.
// RUN: llmir-opt %s --llm-cpu-pipeline='features=avx2,fma,f16c' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c \
// RUN:   | FileCheck %s --check-prefix=AVX2 --implicit-check-not=%%zmm
// RUN: llmir-opt %s --llm-cpu-pipeline='features=avx2,fma,f16c,avxvnni' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c,avxvnni \
// RUN:   | FileCheck %s --check-prefix=AVXVNNI --implicit-check-not=%%zmm
// RUN: llmir-opt %s --llm-cpu-pipeline='features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16 \
// RUN:   | FileCheck %s --check-prefix=AVX512

// AVX2-LABEL: {{^}}attention_9_i8_{{.*}}_split_1:
// AVX2: vpunpcklwd {{.*}}({{.*}}), %ymm
// AVX2: vpsraw $8, %ymm
// AVX2: vpmaddwd {{.*}}%ymm
// AVX2: vpaddd {{.*}}%ymm
// AVX2: vcvtdq2ps %ymm
// AVX2-LABEL: {{^}}attention_9_bf16_{{.*}}_split_1:
// AVX2: vpslld $16, {{.*}}%ymm
// AVX2: vfmadd231ps {{.*}}%ymm

// AVXVNNI-LABEL: {{^}}attention_9_i8_{{.*}}_split_1:
// AVXVNNI: vpunpcklwd {{.*}}, %ymm
// AVXVNNI: vpdpwssd {{.*}}%ymm
// AVXVNNI: vcvtdq2ps %ymm

// AVX512-LABEL: {{^}}attention_9_i8_{{.*}}_split_1:
// AVX512: vpunpcklwd {{.*}}, %zmm
// AVX512: vpdpwssd {{.*}}%zmm
// AVX512-LABEL: {{^}}attention_9_bf16_{{.*}}_split_1:
// AVX512: vdpbf16ps {{.*}}%zmm
!bytes = !llm.paged_kv_cache<f16, 2, 3, 64, 16, 4096, key_storage = i8, value_storage = i8, key_scales = token, value_scales = token, scale = f16>
!pairs = !llm.paged_kv_cache<bf16, 2, 3, 64, 16, 4096, layout = pairs>
!query = tensor<?x9x64xf32>
func.func @bytes(%q: !query, %kv: !bytes, %table: tensor<?x?xi32>, %lens: tensor<?xi32>, %cu: tensor<?xi32>) -> !query {
  %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu)
      {num_heads = 9 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (!query, !bytes, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> !query
  return %o : !query
}
func.func @pairs(%q: !query, %kv: !pairs, %table: tensor<?x?xi32>, %lens: tensor<?xi32>, %cu: tensor<?xi32>) -> !query {
  %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu)
      {num_heads = 9 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (!query, !pairs, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> !query
  return %o : !query
}
