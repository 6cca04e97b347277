# find_package(FastPlasma): target FastPlasma::fastplasma, the shared library with its headers.
get_filename_component(_fastplasma_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET FastPlasma::fastplasma)
  add_library(FastPlasma::fastplasma SHARED IMPORTED)
  set_target_properties(FastPlasma::fastplasma PROPERTIES
    IMPORTED_LOCATION "${_fastplasma_prefix}/lib/libfastplasma.so"
    IMPORTED_SONAME "libfastplasma.so.0"
    INTERFACE_INCLUDE_DIRECTORIES "${_fastplasma_prefix}/include")
endif()
unset(_fastplasma_prefix)
