# The naive flash_fwd of tests/isa, which stands beside the real one in docs/instances.md: target
# naive, folder kernels/naive.
if(NOT AITER_ATTN_GPU_KERNELS)
  return()
endif()
add_custom_target(naive)
file(MAKE_DIRECTORY "${gpu_dir}/naive")
foreach(chip gfx942 gfx950)
  if(NOT "${rows_${chip}_flash_fwd_bf16_bf16_128_128}" MATCHES "ROW\\([^)]*,plain,[^)]*\\)")
    continue()
  endif()
  set(part "${gpu_dir}/naive/naive_flash_fwd.${chip}")
  aiter_attn_gpu_assembly("${PROJECT_SOURCE_DIR}/tests/isa/naive_flash_fwd.hip" ${chip} "${part}.s"
                          "-DAITERI_ROWS(ROW)=${CMAKE_MATCH_0}")
  set(file "${gpu_dir}/naive/aiter_${chip}.co")
  add_custom_command(OUTPUT "${file}"
    COMMAND ${gpu_clang} --target=amdgcn-amd-amdhsa -mcpu=${chip} -c "${part}.s" -o "${part}.o"
    COMMAND ${gpu_lld} -shared "${part}.o" "${gpu_dir}/parts/abi_hash.${chip}.o"
            "${gpu_dir}/parts/combine_any_any_0_128.${chip}.o" -o "${file}"
    DEPENDS "${part}.s" aiter_attn_gpu COMMENT "naive/aiter_${chip}.co" VERBATIM)
  add_custom_target(naive_${chip} DEPENDS "${file}")
  add_dependencies(naive naive_${chip})
endforeach()
