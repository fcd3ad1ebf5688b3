# The GPU kernels: kernels/*.hip -> aiter_<chip>.co and aiter_<op>_<q>_<kv>_<dq>_<dv>.ptx, and the
# library aiter_attn_kernels that carries them inside. Needs Zig 0.16, or clang and lld 20, or ROCm's
# amdclang 20 (AMD chips alone); neither ROCm nor CUDA is used.
option(AITER_ATTN_GPU_KERNELS "compile the GPU kernels" OFF)
if(PROJECT_IS_TOP_LEVEL OR AITER_ATTN_GPU_KERNELS)
  add_executable(aiter_attn_abi_hash EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/tools/abi_hash.c")
endif()
if(NOT AITER_ATTN_GPU_KERNELS)
  return()
endif()
set(AITER_ATTN_GPU_COMPILER "" CACHE STRING "zig, clang or amdclang by name or path; empty: search")
set(AITER_ATTN_GPU_CHIPS gfx90a gfx942 gfx950 sm_80 sm_90a CACHE STRING "what kernels are compiled for")
if(CMAKE_CROSSCOMPILING)
  message(FATAL_ERROR "AITER_ATTN_GPU_KERNELS: kernels do not depend on the machine; build them "
                      "natively or with `zig build gpu`, and load them from a path")
endif()

# ---- the compiler ----

# `path` as the commands gpu_clang and gpu_lld, or a reason why not in `why`.
macro(aiter_attn_try_compiler path)
  set(gpu_clang)
  execute_process(COMMAND "${path}" version OUTPUT_VARIABLE version ERROR_QUIET RESULT_VARIABLE rc)
  if(rc EQUAL 0 AND version MATCHES "^0\\.([0-9]+)\\." AND CMAKE_MATCH_1 GREATER_EQUAL 16)
    set(gpu_clang "${path}" clang)
    set(gpu_lld "${path}" ld.lld)
    set(gpu_targets amdgcn nvptx64)
  else()
    execute_process(COMMAND "${path}" --version OUTPUT_VARIABLE version ERROR_QUIET)
    execute_process(COMMAND "${path}" --print-targets OUTPUT_VARIABLE gpu_targets ERROR_QUIET)
    execute_process(COMMAND "${path}" -print-prog-name=ld.lld OUTPUT_VARIABLE gpu_lld ERROR_QUIET
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(version MATCHES "clang version ([0-9]+)" AND CMAKE_MATCH_1 GREATER_EQUAL 20)
      if(NOT gpu_targets MATCHES "amdgcn")
        string(APPEND why "  ${path}: has no AMD target\n")
      elseif(NOT EXISTS "${gpu_lld}")
        string(APPEND why "  ${path}: no ld.lld beside it (package lld-${CMAKE_MATCH_1})\n")
      else()
        set(gpu_clang "${path}")
      endif()
    else()
      string(APPEND why "  ${path}: neither Zig 0.16 nor clang 20 or later\n")
    endif()
  endif()
endmacro()

function(aiter_attn_find_gpu_compiler)
  set(candidates ${AITER_ATTN_GPU_COMPILER})
  if(NOT candidates)
    execute_process(COMMAND python3 -c
      "import ziglang, pathlib; print(pathlib.Path(ziglang.__file__).with_name('zig'))"
      OUTPUT_VARIABLE package ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    set(candidates zig ${package} clang-22 clang-21 clang-20 clang amdclang
        /opt/rocm/llvm/bin/amdclang)
  endif()
  set(why)
  foreach(candidate IN LISTS candidates)
    unset(found CACHE)
    find_program(found "${candidate}" NO_CACHE)
    if(found)
      aiter_attn_try_compiler("${found}")
      if(gpu_clang)
        message(STATUS "GPU kernels: ${gpu_clang}")
        set(gpu_clang ${gpu_clang} PARENT_SCOPE)
        set(gpu_lld ${gpu_lld} PARENT_SCOPE)
        set(gpu_targets ${gpu_targets} PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
  message(FATAL_ERROR "AITER_ATTN_GPU_KERNELS: no compiler for GPU code found. One of these will do: "
                      "Zig 0.16 or later (also as the Python package ziglang), clang and lld 20 or "
                      "later, ROCm's amdclang 20 or later; AITER_ATTN_GPU_COMPILER names it.\n${why}")
endfunction()
aiter_attn_find_gpu_compiler()

set(gpu_chips ${AITER_ATTN_GPU_CHIPS})
if(NOT gpu_targets MATCHES "nvptx64")
  message(STATUS "GPU kernels: this compiler makes no PTX; AMD chips alone")
  list(FILTER gpu_chips INCLUDE REGEX "^gfx")
endif()

# ---- what to compile: units_<chip> and rows_<chip>_<unit>, from instances.def ----

set(kernel_dir "${PROJECT_SOURCE_DIR}/kernels")
set(gpu_dir "${CMAKE_CURRENT_BINARY_DIR}/kernels")
file(MAKE_DIRECTORY "${gpu_dir}/parts")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${kernel_dir}/instances.def")
file(READ "${kernel_dir}/instances.def" instances)
string(REGEX MATCHALL "\n *ROW\\([^)]*\\)" instances "${instances}")
foreach(row IN LISTS instances)
  string(REGEX REPLACE "[ \n]" "" row "${row}")
  string(REGEX MATCHALL "[^(),]+" field "${row}") # ROW op arch q kv out dq dv ...
  list(GET field 2 arch)
  list(GET field 1 3 4 6 7 unit)
  string(REPLACE ";" "_" unit "${unit}")
  foreach(chip IN LISTS gpu_chips)
    string(REPLACE "_" "" name "${chip}")
    string(TOUPPER "${name}" name)
    if(arch STREQUAL name OR (arch STREQUAL "CDNA" AND chip MATCHES "^gfx"))
      list(APPEND units_${chip} ${unit})
      string(APPEND rows_${chip}_${unit} " ${row}")
      list(GET field 1 op_of_${unit})
    endif()
  endforeach()
endforeach()

# ---- how ----

# abi_hash.h follows args.h and instances.def; CI fails if the one that is committed does not.
add_custom_command(OUTPUT "${gpu_dir}/abi_hash" COMMAND aiter_attn_abi_hash "${kernel_dir}"
  COMMAND "${CMAKE_COMMAND}" -E touch "${gpu_dir}/abi_hash"
  DEPENDS aiter_attn_abi_hash "${kernel_dir}/args.h" "${kernel_dir}/instances.def"
  COMMENT "kernels/abi_hash.h" VERBATIM)
add_custom_target(aiter_attn_abi_hash_is_current DEPENDS "${gpu_dir}/abi_hash")

add_executable(aiter_attn_kernel_files "${PROJECT_SOURCE_DIR}/tools/kernel_files.c")
add_dependencies(aiter_attn_kernel_files aiter_attn_abi_hash_is_current)
set(gpu_flags -std=c++17 -O3 -Wall -Wextra -Werror -I "${kernel_dir}")
set(gpu_files)

# <source> (HIP) -> <output>, assembly of `chip`; ARGN: flags of the driver.
function(aiter_attn_gpu_assembly source chip output)
  get_filename_component(name "${output}" NAME_WE)
  if(chip MATCHES "^gfx")
    set(target -x hip --offload-arch=${chip} --offload-device-only -nogpuinc -nogpulib
        -mcode-object-version=5 -cuid=${name}) # without it a symbol's name depends on paths
  else()
    set(ptx ptx80) # what the chip needs, no later: the driver must know it
    if(chip STREQUAL "sm_80")
      set(ptx ptx70)
    endif()
    set(target -x cuda --cuda-device-only --cuda-gpu-arch=${chip} --cuda-feature=+${ptx}
        --cuda-path=/nonexistent -nocudainc -nocudalib)
  endif()
  add_custom_command(OUTPUT "${output}"
    COMMAND ${gpu_clang} ${target} ${gpu_flags} ${ARGN} -Xclang -dependency-file -Xclang "${output}.d"
            -Xclang -MT -Xclang "${output}" -S "${source}" -o "${output}"
    DEPENDS "${source}" aiter_attn_abi_hash_is_current DEPFILE "${output}.d"
    COMMENT "${name}.${chip}.s" VERBATIM)
endfunction()

# AMD: the assembly files in ARGN -> <output>, a code object.
function(aiter_attn_gpu_code_object chip output)
  set(objects)
  foreach(assembly IN LISTS ARGN)
    string(REGEX REPLACE "s$" "o" object "${assembly}")
    list(APPEND objects "${object}")
    get_filename_component(name "${object}" NAME)
    add_custom_command(OUTPUT "${object}"
      COMMAND ${gpu_clang} --target=amdgcn-amd-amdhsa -mcpu=${chip} -c "${assembly}" -o "${object}"
      DEPENDS "${assembly}" COMMENT "${name}" VERBATIM)
  endforeach()
  get_filename_component(name "${output}" NAME)
  add_custom_command(OUTPUT "${output}" COMMAND ${gpu_lld} -shared ${objects} -o "${output}"
    DEPENDS ${objects} COMMENT "${name}" VERBATIM)
endfunction()

foreach(chip IN LISTS gpu_chips)
  set(parts)
  if(chip MATCHES "^gfx")
    set(parts "${gpu_dir}/parts/abi_hash.${chip}.s")
    aiter_attn_gpu_assembly("${kernel_dir}/abi_hash.hip" ${chip} "${parts}")
  endif()
  list(REMOVE_DUPLICATES units_${chip})
  foreach(unit IN LISTS units_${chip})
    set(part "${gpu_dir}/parts/${unit}.${chip}.s")
    string(STRIP "${rows_${chip}_${unit}}" rows)
    aiter_attn_gpu_assembly("${kernel_dir}/${op_of_${unit}}.hip" ${chip} "${part}"
                            "-DAITERI_ROWS(ROW)=${rows}")
    if(chip MATCHES "^gfx")
      list(APPEND parts "${part}")
    else()
      set(name "aiter_${unit}_${chip}.ptx")
      if(chip STREQUAL "sm_80") # and up
        set(name "aiter_${unit}.ptx")
      endif()
      set(file "${gpu_dir}/${name}")
      add_custom_command(OUTPUT "${file}" COMMAND aiter_attn_kernel_files stamp "${part}" "${file}"
        DEPENDS aiter_attn_kernel_files "${part}" COMMENT "${name}" VERBATIM)
      list(APPEND gpu_files "${file}")
    endif()
  endforeach()
  if(parts)
    aiter_attn_gpu_code_object(${chip} "${gpu_dir}/aiter_${chip}.co" ${parts})
    list(APPEND gpu_files "${gpu_dir}/aiter_${chip}.co")
  endif()
endforeach()

add_custom_command(OUTPUT "${gpu_dir}/checked"
  COMMAND aiter_attn_kernel_files check "${gpu_dir}" ${gpu_chips}
  COMMAND "${CMAKE_COMMAND}" -E touch "${gpu_dir}/checked"
  DEPENDS aiter_attn_kernel_files ${gpu_files} COMMENT "every kernel is in its file" VERBATIM)
add_custom_target(aiter_attn_gpu ALL DEPENDS "${gpu_dir}/checked")
if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(gpu DEPENDS aiter_attn_gpu)
endif()

install(FILES ${gpu_files} DESTINATION "${CMAKE_INSTALL_DATADIR}/aiter_attn")

# ---- the library that carries them ----

if(CMAKE_EXECUTABLE_FORMAT STREQUAL "ELF")
  set(list)
  foreach(file IN LISTS gpu_files)
    get_filename_component(name "${file}" NAME)
    get_filename_component(symbol "${file}" NAME_WE)
    string(APPEND list "EMBED(aiteri_embedded_${symbol}, \"${name}\")\n")
  endforeach()
  file(CONFIGURE OUTPUT "${gpu_dir}/embed_list.h" CONTENT "${list}" @ONLY)
  add_library(aiter_attn_kernels STATIC "${kernel_dir}/embed.c")
  add_library(aiter_attn::kernels ALIAS aiter_attn_kernels)
  set_target_properties(aiter_attn_kernels PROPERTIES EXPORT_NAME kernels
                        POSITION_INDEPENDENT_CODE ON)
  target_include_directories(aiter_attn_kernels PRIVATE "${gpu_dir}")
  target_compile_definitions(aiter_attn_kernels INTERFACE AITER_ATTN_EMBEDDED_KERNELS)
  set_source_files_properties("${kernel_dir}/embed.c" PROPERTIES OBJECT_DEPENDS "${gpu_dir}/checked")
  add_dependencies(aiter_attn_kernels aiter_attn_gpu)
  install(TARGETS aiter_attn_kernels EXPORT aiter_attn
          ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()
