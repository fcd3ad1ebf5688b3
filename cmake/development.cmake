# Targets for people who work on the library: header, check, tests, bench, examples. A new test or
# benchmark file is found by its name; nothing here lists them.
include(CTest)

set(CMAKE_C_STANDARD 11)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()
option(AITER_ATTN_WARNINGS_AS_ERRORS "turn the tests' warnings into errors" OFF)

set(warnings -Wall -Wextra -Wpedantic)
if(AITER_ATTN_WARNINGS_AS_ERRORS)
  list(APPEND warnings -Werror)
endif()

# Where the header under test comes from: the modules, or the packed file that people copy.
set(header_src "${PROJECT_SOURCE_DIR}/src/spine.h")
set(header "${PROJECT_SOURCE_DIR}/aiter_attn.h")

# ---- header, check ----
add_executable(amalgamate tools/amalgamate.c)
add_executable(tidy tools/tidy.c)
add_custom_target(header
  COMMAND aiter_attn_abi_hash kernels
  COMMAND amalgamate src spine.h aiter_attn.h
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" COMMENT "src/ -> aiter_attn.h" VERBATIM)
add_custom_target(check
  COMMAND aiter_attn_abi_hash --check kernels
  COMMAND amalgamate --check src spine.h aiter_attn.h
  COMMAND tidy "${PROJECT_SOURCE_DIR}"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" COMMENT "header is current, house rules hold" VERBATIM)

# Development builds follow src/: the packed header is refreshed before anything includes it.
option(AITER_ATTN_REFRESH_HEADER "rebuild aiter_attn.h from src/ before the tests" OFF)

# A program that includes the header at `header` as AITER_TEST_HEADER.
function(aiter_attn_program name source header)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE AITER_TEST_HEADER="${header}")
  target_compile_options(${name} PRIVATE ${warnings})
  target_link_libraries(${name} PRIVATE aiter_attn::aiter_attn)
  if(AITER_ATTN_REFRESH_HEADER)
    add_dependencies(${name} header)
  endif()
endfunction()

# A test is built against src/ (`name`_src) and against the packed header (`name`). One that looks
# inside compiles the implementation itself; one of the public face is linked with it; those of the
# example's parts include only files of examples/, so once is enough.
function(aiter_attn_test source)
  get_filename_component(name "${source}" NAME_WE)
  file(STRINGS "${source}" inside REGEX "aiteri_|AITERI_" LIMIT_COUNT 1)
  set(variants _src packed)
  if(name MATCHES "^test_(gguf|weights|tokenizer|decode_.*)$")
    set(variants packed)
    set(inside TRUE)
  endif()
  foreach(variant IN LISTS variants)
    string(REPLACE "packed" "" suffix ${variant})
    set(target ${name}${suffix})
    if(inside)
      aiter_attn_program(${target} "${source}" "${header${suffix}}")
    else()
      aiter_attn_program(${target} "${source}" "${PROJECT_SOURCE_DIR}/tests/header/linked.h")
      target_compile_definitions(${target} PRIVATE AITER_TEST_LINKED="${header${suffix}}")
      target_link_libraries(${target} PRIVATE implementation${suffix})
    endif()
    add_dependencies(tests ${target})
    add_test(NAME ${target} COMMAND ${target} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(${target} PROPERTIES FAIL_REGULAR_EXPRESSION "(^|\n)0 passed" TIMEOUT 900)
  endforeach()
endfunction()

# ---- tests ----
if(BUILD_TESTING)
  add_custom_target(tests DEPENDS amalgamate tidy aiter_attn_abi_hash)
  set_target_properties(aiter_attn_abi_hash PROPERTIES EXCLUDE_FROM_ALL OFF) # a test runs it
  add_test(NAME header_is_current COMMAND amalgamate --check src spine.h aiter_attn.h
           WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  add_test(NAME abi_hash_is_current COMMAND aiter_attn_abi_hash --check kernels
           WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  add_test(NAME tidy COMMAND tidy "${PROJECT_SOURCE_DIR}")
  add_test(NAME tidy_self_test COMMAND tidy --self-test)

  foreach(suffix "" _src)
    add_library(implementation${suffix} STATIC tests/header/linked.c)
    target_compile_definitions(implementation${suffix} PRIVATE
      AITER_TEST_LINKED="${header${suffix}}")
    target_compile_options(implementation${suffix} PRIVATE ${warnings})
    target_link_libraries(implementation${suffix} PUBLIC aiter_attn::aiter_attn)
    if(AITER_ATTN_REFRESH_HEADER)
      add_dependencies(implementation${suffix} header)
    endif()
  endforeach()
  file(GLOB test_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/test_*.c")
  foreach(source IN LISTS test_sources)
    aiter_attn_test("${source}")
  endforeach()
endif()

# ---- bench, examples ----
add_custom_target(bench)
file(GLOB bench_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.c")
foreach(source IN LISTS bench_sources)
  get_filename_component(name "${source}" NAME_WE)
  aiter_attn_program(${name} "${source}" "${header}")
  set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
  add_dependencies(bench ${name})
endforeach()

add_custom_target(examples)
include(CheckLanguage)
check_language(CXX) # the library needs none; one example shows C++17
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  set(CMAKE_CXX_STANDARD 17)
  set(cpp_pattern "${PROJECT_SOURCE_DIR}/examples/*.cpp")
endif()
include(cmake/emulator.cmake)
include(cmake/naive.cmake)
file(GLOB example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.c" ${cpp_pattern})
foreach(source IN LISTS example_sources)
  get_filename_component(name "${source}" NAME_WE)
  aiter_attn_program(${name} "${source}" "${header}")
  add_dependencies(examples ${name})
  if(BUILD_TESTING AND name MATCHES "^[0-9]") # the numbered ones check themselves
    add_test(NAME example_${name} COMMAND ${name})
  endif()
endforeach()
