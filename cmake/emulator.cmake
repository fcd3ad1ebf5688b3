# The CDNA emulator of tests/cdna: cdna_hip is a shared library with HIP's entry points, for programs
# that look for libamdhip64 (AITER_ATTN_HIP_LIBRARY names it); each program of tests/cdna/tests looks
# inside. Needs C++17, and when it runs llvm-objdump 20 or later.
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

add_custom_target(cdna_tests DEPENDS cdna_hip)
file(GLOB cdna_test_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/cdna/tests/*.cpp")
foreach(source IN LISTS cdna_test_sources)
  get_filename_component(name "${source}" NAME_WE)
  add_executable(cdna_${name} EXCLUDE_FROM_ALL "${source}")
  target_include_directories(cdna_${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/cdna")
  target_compile_options(cdna_${name} PRIVATE ${warnings})
  target_link_libraries(cdna_${name} PRIVATE cdna)
  add_dependencies(cdna_tests cdna_${name})
endforeach()
