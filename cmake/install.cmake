# What `cmake --install` lays down: the header, find_package(aiter_attn) and a pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/aiter_attn")
install(FILES aiter_attn.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS aiter_attn EXPORT aiter_attn)
install(EXPORT aiter_attn NAMESPACE aiter_attn:: DESTINATION "${package_dir}"
        FILE aiter_attn-targets.cmake)

configure_package_config_file(cmake/aiter_attn-config.cmake.in
  "${CMAKE_CURRENT_BINARY_DIR}/aiter_attn-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/aiter_attn-config-version.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/aiter_attn-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/aiter_attn-config-version.cmake"
        DESTINATION "${package_dir}")

configure_file(cmake/aiter_attn.pc.in "${CMAKE_CURRENT_BINARY_DIR}/aiter_attn.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/aiter_attn.pc"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
