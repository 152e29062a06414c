# The grid of dense attention. A case is: form (ragged, or padded); type of elements; query heads, KV
# heads, key and value head size; whether keys have lengths of their own; causal; window, sinks; soft
# cap; ALiBi slopes, learned sinks; mask (none, i1 or f32), and whether it differs between sequences
# and heads. Every case is compiled by every technique.
set(dense_cases
  "ragged f32 9 3 64 64 0 1 0 0 0 0 0 none 0 0"
  "ragged f16 8 1 128 128 1 1 0 0 0 0 0 none 0 0"
  "ragged bf16 16 16 64 64 1 0 0 0 0 0 0 none 0 0"
  "ragged f32 5 1 7 13 1 1 0 0 0 0 0 none 0 0"
  "ragged bf16 8 1 576 512 1 1 0 0 0 0 0 none 0 0"
  "ragged f16 128 1 48 32 0 1 0 0 0 0 0 none 0 0"
  "ragged f32 6 2 80 96 1 1 40 5 30 1 1 none 0 0"
  "ragged f32 4 4 64 64 1 0 100 0 0 0 0 none 0 0"
  "ragged f16 3 3 33 35 0 1 1 0 0 0 0 none 0 0"
  "ragged f32 2 2 32 32 1 1 70 66 0 0 0 none 0 0"
  "ragged f32 4 2 16 16 1 0 0 0 0 0 1 none 0 0"
  "padded f32 4 2 64 64 0 0 0 0 0 0 0 i1 1 1"
  "padded f16 8 8 64 64 1 1 0 0 0 0 0 f32 0 0"
  "padded bf16 6 3 20 28 1 1 9 2 5 1 1 i1 1 0"
  "padded f32 2 1 256 256 0 1 0 0 0 0 0 none 0 0"
  "padded f32 3 1 96 48 1 0 0 0 0 1 0 f32 0 1"
  "padded f32 12 4 1 1 0 0 0 0 0 0 0 none 0 0")

set(dense_case_list "")
set(dense_module "")
foreach(case ${dense_cases})
  string(REPLACE " " "_" NAME ${case})
  separate_arguments(fields UNIX_COMMAND ${case})
  foreach(field FORM TYPE HEADS KV_HEADS KEY_DIM VALUE_DIM LENGTHS CAUSAL WINDOW SINKS SOFT_CAP ALIBI
      SINK_LOGITS MASK MASK_SEQUENCES MASK_HEADS)
    list(POP_FRONT fields ${field})
  endforeach()
  set(OPERANDS "")
  set(OPERAND_TYPES "")
  set(ATTRIBUTES "")
  set(MASK_TYPE "tensor<?x?x?x?xi1>")
  if(FORM STREQUAL "ragged")
    set(outer "?")
  else()
    set(outer "?x?")
  endif()
  set(QUERY_TYPE "tensor<${outer}x${HEADS}x${KEY_DIM}x${TYPE}>")
  set(KEY_TYPE "tensor<${outer}x${KV_HEADS}x${KEY_DIM}x${TYPE}>")
  set(VALUE_TYPE "tensor<${outer}x${KV_HEADS}x${VALUE_DIM}x${TYPE}>")
  set(OUTPUT_TYPE "tensor<${outer}x${HEADS}x${VALUE_DIM}x${TYPE}>")
  if(NOT MASK STREQUAL "none")
    set(sequences 1)
    if(MASK_SEQUENCES)
      set(sequences "?")
    endif()
    set(heads 1)
    if(MASK_HEADS)
      set(heads ${HEADS})
    endif()
    set(MASK_TYPE "tensor<${sequences}x${heads}x?x?x${MASK}>")
    string(APPEND OPERANDS " mask(%mask)")
    string(APPEND OPERAND_TYPES ", ${MASK_TYPE}")
  endif()
  if(FORM STREQUAL "ragged")
    string(APPEND OPERANDS " cu_lengths(%lengths)")
    string(APPEND OPERAND_TYPES ", tensor<?xi32>")
    if(LENGTHS)
      string(APPEND OPERANDS " cu_key_lengths(%keys)")
      string(APPEND OPERAND_TYPES ", tensor<?xi32>")
    endif()
  elseif(LENGTHS)
    string(APPEND OPERANDS " key_lengths(%keys)")
    string(APPEND OPERAND_TYPES ", tensor<?xi32>")
  endif()
  if(SINK_LOGITS)
    string(APPEND OPERANDS " sink_logits(%sinks)")
    string(APPEND OPERAND_TYPES ", tensor<${HEADS}xf32>")
  endif()
  if(CAUSAL)
    string(APPEND ATTRIBUTES ", causal")
  endif()
  if(WINDOW)
    string(APPEND ATTRIBUTES ", window = ${WINDOW} : i32")
    if(SINKS)
      string(APPEND ATTRIBUTES ", num_sinks = ${SINKS} : i32")
    endif()
  endif()
  if(SOFT_CAP)
    string(APPEND ATTRIBUTES ", soft_cap = ${SOFT_CAP}.0 : f32")
  endif()
  if(ALIBI)
    set(slopes "")
    foreach(head RANGE 1 ${HEADS})
      list(APPEND slopes "${head}.0e-2")
    endforeach()
    list(JOIN slopes ", " slopes)
    string(APPEND ATTRIBUTES ", alibi_slopes = array<f32: ${slopes}>")
  endif()
  file(READ DenseAttention.mlir.in function)
  string(CONFIGURE "${function}" function @ONLY)
  string(APPEND dense_module "${function}")
  string(APPEND dense_case_list "DENSE_CASE(${NAME}, \"${FORM}\", \"${TYPE}\", ${HEADS}, ${KV_HEADS}, ${KEY_DIM}, ${VALUE_DIM}, ${LENGTHS}, ${CAUSAL}, ${WINDOW}, ${SINKS}, ${SOFT_CAP}, ${ALIBI}, ${SINK_LOGITS}, \"${MASK}\", ${MASK_SEQUENCES}, ${MASK_HEADS})\n")
endforeach()
file(CONFIGURE OUTPUT DenseCases.inc CONTENT "${dense_case_list}" @ONLY)

set(dense_objects "")
foreach(technique flash fused-softmax masked sliding-window three-pass)
  string(REPLACE "-" "_" suffix ${technique})
  string(REPLACE "_dense(" "_dense_${suffix}(" module "${dense_module}")
  set(file ${CMAKE_CURRENT_BINARY_DIR}/DenseAttention_${suffix}.mlir)
  file(CONFIGURE OUTPUT ${file} CONTENT "${module}" @ONLY)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/DenseAttention_${suffix}.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND llmir-opt --llm-cpu-pipeline=attention=${technique} ${file} -o ${object}.mlir
    COMMAND llmir-translate --llmir-to-object ${object}.mlir -o ${object}
    DEPENDS llmir-opt llmir-translate ${file}
    COMMENT "Compiling dense attention by ${technique}"
    VERBATIM)
  list(APPEND dense_objects ${object})
endforeach()

# A step with dense attention and its twin over a cache, each under a name of its own.
set(dense_step_attention
  "%a = llm.attention %q, %k, %v cu_lengths(%cu) sink_logits(%sinks) {num_heads = 6 : i32, scale = 0.3 : f32, causal, window = 40 : i32, num_sinks = 2 : i32, soft_cap = 4.0 : f32} : (!heads, !kv_heads, !kv_heads, tensor<?xi32>, tensor<6xf32>) -> !heads")
set(paged_step_attention
  "%a = llm.paged_attention %q, %new, %table, %lens cu_lengths(%cu) sink_logits(%sinks) {num_heads = 6 : i32, head_dim = 32 : i32, scale = 0.3 : f32, soft_cap = 4.0 : f32} : (!heads, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<6xf32>) -> !heads")
foreach(name dense_step paged_step)
  set(ATTENTION "${${name}_attention}")
  configure_file(DenseAttentionStep.mlir.in ${name}.mlir @ONLY)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
  set(file ${CMAKE_CURRENT_BINARY_DIR}/${name}.mlir)
  add_custom_command(
    OUTPUT ${object}
    COMMAND llmir-opt --llm-choose-packed-layouts --llm-cpu-pipeline ${file} -o ${object}.mlir
    COMMAND llmir-translate --llmir-to-object ${object}.mlir -o ${object}
    COMMAND ${CMAKE_OBJCOPY} --redefine-sym llmir_model_step=${name}
            --redefine-sym llmir_model_abi_version=${name}_abi_version ${object}
    DEPENDS llmir-opt llmir-translate ${file}
    COMMENT "Compiling ${name}.mlir"
    VERBATIM)
  list(APPEND dense_objects ${object})
endforeach()
