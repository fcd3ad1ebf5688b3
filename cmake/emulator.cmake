# The CDNA emulator of tests/cdna: cdna_hip is a shared library with HIP's entry points, for programs
# that look for libamdhip64 (AITER_ATTN_HIP_LIBRARY names it); its own tests; tests of the library on
# it, tests/gpu/run_*.c. Needs C++17, and when it runs llvm-objdump 20 or later.
if(NOT CMAKE_CXX_COMPILER)
  return()
endif()
file(GLOB cdna_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/cdna/*.cpp")
if(NOT cdna_sources)
  return()
endif()
add_library(cdna OBJECT EXCLUDE_FROM_ALL ${cdna_sources})
set_target_properties(cdna PROPERTIES POSITION_INDEPENDENT_CODE ON
                      CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_compile_options(cdna PRIVATE ${warnings})
target_link_libraries(cdna PUBLIC Threads::Threads ${CMAKE_DL_LIBS})
add_library(cdna_hip SHARED EXCLUDE_FROM_ALL)
target_link_libraries(cdna_hip PRIVATE cdna)

# ---- its tests: C programs see the library alone, C++ ones look inside; both find the kernels of
# tests/cdna/tests/*.hip as <name>_<chip>.co in the folder that CDNA_TEST_CODE names, and the
# library's kernels by CDNA_CODE_OBJECTS ----

if(NOT AITER_ATTN_GPU_KERNELS)
  return()
endif()
set(cdna_test_dir "${PROJECT_SOURCE_DIR}/tests/cdna/tests")
set(cdna_code_dir "${CMAKE_CURRENT_BINARY_DIR}/cdna")
file(MAKE_DIRECTORY "${cdna_code_dir}")
file(GLOB cdna_test_kernels CONFIGURE_DEPENDS "${cdna_test_dir}/*.hip")
set(cdna_code)
foreach(source IN LISTS cdna_test_kernels)
  get_filename_component(name "${source}" NAME_WE)
  foreach(chip gfx90a gfx942 gfx950)
    set(part "${cdna_code_dir}/${name}.${chip}.s")
    aiter_attn_gpu_assembly("${source}" ${chip} "${part}")
    aiter_attn_gpu_code_object(${chip} "${cdna_code_dir}/${name}_${chip}.co" "${part}")
    list(APPEND cdna_code "${cdna_code_dir}/${name}_${chip}.co")
  endforeach()
endforeach()
add_custom_target(cdna_code DEPENDS ${cdna_code})
add_custom_target(cdna_tests DEPENDS cdna_hip)

set(code_objects "${gpu_dir}/aiter_gfx90a.co:${gpu_dir}/aiter_gfx942.co:${gpu_dir}/aiter_gfx950.co")
file(GLOB cdna_test_sources CONFIGURE_DEPENDS "${cdna_test_dir}/test_*.c"
     "${cdna_test_dir}/test_*.cpp")
foreach(source IN LISTS cdna_test_sources)
  get_filename_component(name "${source}" NAME_WE)
  set(name cdna_${name})
  add_executable(${name} "${source}")
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/cdna")
  target_compile_options(${name} PRIVATE ${warnings})
  if(source MATCHES "\\.c$")
    target_link_libraries(${name} PRIVATE cdna_hip Threads::Threads)
  else()
    target_link_libraries(${name} PRIVATE cdna)
  endif()
  add_dependencies(${name} cdna_code aiter_attn_gpu)
  add_dependencies(cdna_tests ${name})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES
                       ENVIRONMENT "CDNA_TEST_CODE=${cdna_code_dir};CDNA_CODE_OBJECTS=${code_objects}"
                       FAIL_REGULAR_EXPRESSION "(^|\n)0 passed" TIMEOUT 900)
endforeach()

# ---- the library on it: the CPU's cases; memory past 2^33 bytes; graphs; a failing driver ----

add_custom_target(cdna_programs)
foreach(name run_attention run_cells run_devices run_large run_graph run_plan run_failures)
  aiter_attn_program(${name} "${PROJECT_SOURCE_DIR}/tests/gpu/${name}.c")
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  add_dependencies(${name} cdna_hip aiter_attn_gpu)
  add_dependencies(cdna_programs ${name})
  foreach(chip gfx942 gfx950)
    add_test(NAME ${name}_${chip} COMMAND ${name} hip "${gpu_dir}")
    set_tests_properties(${name}_${chip} PROPERTIES TIMEOUT 1800 ENVIRONMENT
      "CDNA_CHIP=${chip};AITER_ATTN_HIP_LIBRARY=$<TARGET_FILE:cdna_hip>")
  endforeach()
endforeach()

# ---- and without any device: there is no such library ----

aiter_attn_program(run_no_device "${PROJECT_SOURCE_DIR}/tests/gpu/run_no_device.c")
add_dependencies(cdna_programs run_no_device)
add_test(NAME run_no_device COMMAND run_no_device hip "cannot be loaded")
set_tests_properties(run_no_device PROPERTIES ENVIRONMENT AITER_ATTN_HIP_LIBRARY=libamdhip64.so.0)
