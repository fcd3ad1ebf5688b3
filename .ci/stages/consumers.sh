# consumers: ten-line projects that take the library in each way we promise, offline.
. .ci/lib.sh
need cc=gcc cmake=cmake make=make pkg-config=pkg-config
need_zig
root=$PWD
out=$root/$dir
cp -r tests/consumers "$dir/projects"

# -- copied
job_counted copy "cp aiter_attn.h $dir/projects/copy/ && cd $dir/projects/copy &&
    cc -O1 main.c -o main -lm -lpthread && ./main"

# -- as a sub-project: by path and by FetchContent; no target of ours but the library may appear
for way in add_subdirectory fetch_content; do
    job_counted $way "cmake -S $dir/projects/$way -B $dir/$way -DAITER_ATTN_SOURCE=$root &&
        cmake --build $dir/$way && $dir/$way/main &&
        ! cmake --build $dir/$way --target help | grep -E 'tidy|test_|amalgamate'"
done

# -- installed
job install "cmake -S . -B $dir/library -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX=$out/prefix &&
    cmake --install $dir/library"
run_jobs
job_counted find_package "cmake -S $dir/projects/find_package -B $dir/find_package \
    -DCMAKE_PREFIX_PATH=$out/prefix && cmake --build $dir/find_package && $dir/find_package/main"
# A minor version may rename fields, so a project that asks for the last one is told.
job "find_package of 0.1 refused" "mkdir -p $dir/projects/find_last &&
    sed 's/aiter_attn 0.2/aiter_attn 0.1/' $dir/projects/find_package/CMakeLists.txt >$dir/projects/find_last/CMakeLists.txt &&
    cmake -S $dir/projects/find_last -B $dir/find_last -DCMAKE_PREFIX_PATH=$out/prefix 2>&1 |
        grep 'compatible with requested version'"
job_counted pkg-config "export PKG_CONFIG_PATH=$out/prefix/share/pkgconfig
    version=\$(sed -n 's/^#define AITER_ATTN_VERSION_STRING *\"\\(.*\\)\"/\\1/p' aiter_attn.h)
    [ \"\$(pkg-config --modversion aiter_attn)\" = \"\$version\" ] &&
    cc $dir/projects/copy/main.c -o $dir/pkg_config \
        -I$out/nowhere \$(pkg-config --cflags --libs aiter_attn) && $dir/pkg_config"

# -- as a Zig package
mkdir -p "$dir/package"
paths=$(sed -n '/\.paths/,/}/s/^ *"\(.*\)",/\1/p' build.zig.zon)
cp -r $paths "$dir/package/"
job_counted "zig dependency" "cd $dir/package/tests/consumers/zig && $zig build run"
job "one version everywhere" "grep -q \"\\.version = \\\"\$(sed -n \
    's/^#define AITER_ATTN_VERSION_STRING *\"\\(.*\\)\"/\\1/p' aiter_attn.h)\\\"\" build.zig.zon"
finish
