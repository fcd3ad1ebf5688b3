/* code.c -- code objects: linked in or read from a folder, loaded when a kernel of theirs is first
 * asked for, and refused when they were built for another header. */
#ifndef AITERI_GPU_CODE_C
#define AITERI_GPU_CODE_C

#include "device.c"
#include "../../kernels/abi_hash.h"

#if defined(AITER_ATTN_EMBEDDED_KERNELS)
/* As kernels/embed.c defines it; a zero follows every file. */
typedef struct aiteri_gpu_file {
    const char *name;
    const unsigned char *begin, *end;
} aiteri_gpu_file;
#ifdef __cplusplus
extern "C" {
#endif
extern const aiteri_gpu_file aiteri_gpu_files[]; /* ends with a name of 0 */
#ifdef __cplusplus
}
#endif
#endif

/* One file in memory, a zero behind it. */
typedef struct aiteri_gpu_image {
    const void *data;
    void *owned; /* to be freed */
} aiteri_gpu_image;

/* All rows of an AMD chip share a file, on NVIDIA those of one unit. */
static int aiteri_gpu_rows_share(const aiteri_device *d, int32_t i, int32_t j)
{
    const aiteri_gpu_row *a = &aiteri_gpu_rows_table[i], *b = &aiteri_gpu_rows_table[j];
    if (d->driver->kind == AITER_DEVICE_HIP) return 1;
    return (b->archs & d->arch_bits) && strcmp(a->unit, b->unit) == 0;
}

/* The row under which the module of row i is kept. */
static int32_t aiteri_gpu_module_row(const aiteri_device *d, int32_t i)
{
    int32_t first = 0;
    while (first < i && !aiteri_gpu_rows_share(d, i, first)) first++;
    return first;
}

static void aiteri_gpu_file_name(const aiteri_device *d, int32_t i,
                                 char name[AITERI_GPU_FILE_NAME_BYTES])
{
    if (d->driver->kind == AITER_DEVICE_HIP)
        snprintf(name, AITERI_GPU_FILE_NAME_BYTES, "aiter_%s.co", d->arch);
    else
        snprintf(name, AITERI_GPU_FILE_NAME_BYTES, "aiter_%s.ptx", aiteri_gpu_rows_table[i].unit);
}

/* Bytes of an open file; -1: it cannot be told. */
static long aiteri_file_bytes(FILE *file)
{
    if (fseek(file, 0, SEEK_END) != 0) return -1;
    const long bytes = ftell(file);
    return fseek(file, 0, SEEK_SET) == 0 ? bytes : -1;
}

static aiter_status aiteri_gpu_read_file(aiter_context *ctx, const char *op, const char *folder,
                                         const char *name, aiteri_gpu_image *image)
{
    char path[AITERI_GPU_PATH_BYTES + AITERI_GPU_FILE_NAME_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return aiteri_fail(ctx, AITER_NO_KERNEL,
                           "%s: the code object %s cannot be opened; kernel_path of the context is "
                           "the folder that the build target gpu fills",
                           op, path);
    const long bytes = aiteri_file_bytes(file);
    char *data = bytes > 0 ? (char *)malloc((size_t)bytes + 1) : NULL;
    const size_t got = data ? fread(data, 1, (size_t)bytes, file) : 0;
    fclose(file);
    image->data = image->owned = data;
    if (bytes > 0 && !data)
        return aiteri_fail(ctx, AITER_OUT_OF_MEMORY, "%s: no %ld bytes to read %s", op, bytes,
                           path);
    if (bytes <= 0 || got != (size_t)bytes) {
        free(data);
        return aiteri_fail(ctx, AITER_NO_KERNEL, "%s: the code object %s cannot be read", op, path);
    }
    data[bytes] = 0;
    return AITER_OK;
}

/* A folder that the user names comes before what is linked in. */
static aiter_status aiteri_gpu_find_image(aiter_context *ctx, const char *op,
                                          const aiteri_device *d, const char *name,
                                          aiteri_gpu_image *image)
{
    image->data = image->owned = NULL;
    if (d->path[0]) return aiteri_gpu_read_file(ctx, op, d->path, name, image);
#if defined(AITER_ATTN_EMBEDDED_KERNELS)
    for (const aiteri_gpu_file *f = aiteri_gpu_files; f->name && !image->data; f++)
        if (strcmp(f->name, name) == 0) image->data = f->begin;
    if (image->data) return AITER_OK;
    return aiteri_fail(ctx, AITER_NO_KERNEL, "%s: %s is not among the kernels linked in", op, name);
#else
    return aiteri_fail(ctx, AITER_NO_KERNEL,
                       "%s: no place for %s: kernel_path of the context is not set and no kernels "
                       "are linked in",
                       op, name);
#endif
}

/* Does the module carry the hash of our args.h and instances.def? */
static aiter_status aiteri_gpu_check_hash(aiter_context *ctx, const char *op,
                                          const aiteri_device *d, aiteri_gpu_module module,
                                          const char *name)
{
    const aiteri_driver *driver = d->driver;
    const uint64_t ours = AITERI_GPU_ABI_HASH;
    aiteri_gpu_address at = NULL;
    uint64_t hash = 0;
    size_t bytes = 0;
    const int code = driver->module_global(&at, &bytes, module, "aiteri_gpu_abi_hash");
    if (code == AITERI_GPU_SUCCESS && bytes == sizeof hash)
        AITERI_GPU_TRY(ctx, driver, op, memory_read, (&hash, at, sizeof hash));
    else if (code != AITERI_GPU_SUCCESS && driver->kind == AITER_DEVICE_HIP)
        driver->hip_last_error(); /* said below in other words */
    if (hash == ours) return AITER_OK;
    return aiteri_fail(
        ctx, AITER_NO_KERNEL,
        "%s: %s was built for another header: its hash is %016llx, expected %016llx; "
        "build the kernels of this version",
        op, name, (unsigned long long)hash, (unsigned long long)ours);
}

static aiter_status aiteri_gpu_load_module(aiter_context *ctx, const char *op,
                                           const aiteri_device *d, int32_t row,
                                           aiteri_gpu_module *out)
{
    char name[AITERI_GPU_FILE_NAME_BYTES], what[160];
    aiteri_gpu_image image;
    aiteri_gpu_module module = NULL;
    aiteri_gpu_file_name(d, row, name);
    AITERI_TRY(aiteri_gpu_find_image(ctx, op, d, name, &image));
    const int code = d->driver->module_load(&module, image.data);
    free(image.owned);
    snprintf(what, sizeof what, "%s: %s", op, name);
    if (code != AITERI_GPU_SUCCESS)
        return aiteri_driver_failed(ctx, d->driver, what, "module_load", code);
    const aiter_status status = aiteri_gpu_check_hash(ctx, op, d, module, name);
    if (status != AITER_OK)
        d->driver->module_unload(module);
    else
        *out = module;
    return status;
}

/* Under the lock: the row's function, its module loaded before if need be. */
static aiter_status aiteri_gpu_load_row(aiter_context *ctx, const char *op, aiteri_device *d,
                                        int32_t row)
{
    const aiteri_gpu_row *r = &aiteri_gpu_rows_table[row];
    const int32_t at = aiteri_gpu_module_row(d, row);
    aiteri_gpu_function function = NULL;
    char what[160];
    if (d->function[row] != 0) return AITER_OK;
    if (!d->module[at]) AITERI_TRY(aiteri_gpu_load_module(ctx, op, d, row, &d->module[at]));
    snprintf(what, sizeof what, "%s: %s", op, r->symbol);
    AITERI_GPU_TRY(ctx, d->driver, what, module_function, (&function, d->module[at], r->symbol));
    if (d->driver->kind == AITER_DEVICE_CUDA && r->lds_bytes > 48 * 1024)
        AITERI_GPU_TRY(ctx, d->driver, what, cuda_function_set,
                       (function, AITERI_CUDA_DYNAMIC_SHARED, r->lds_bytes));
    aiteri_atomic_store(&d->function[row], (aiteri_counter)(uintptr_t)function);
    return AITER_OK;
}

#endif /* AITERI_GPU_CODE_C */
