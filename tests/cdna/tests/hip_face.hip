/* hip_face.hip -- the kernels that test_hip_face.c launches: small enough to predict every byte. */
#define GLOBAL extern "C" __attribute__((global, amdgpu_flat_work_group_size(64, 64)))

typedef unsigned u32;
typedef unsigned long long u64;

struct add_args {
    u64 to, from;
    long long offset; /* in elements, of both */
    u32 count, add;
};

static inline __attribute__((device)) u32 index()
{
    return __builtin_amdgcn_workgroup_id_x() * 64 + __builtin_amdgcn_workitem_id_x();
}

/* to[offset + i] = from[offset + i] + add, i < count */
GLOBAL void face_add(add_args args)
{
    u32 i = index();
    if (i >= args.count) return;
    ((u32 *)args.to)[args.offset + i] = ((const u32 *)args.from)[args.offset + i] + args.add;
}

/* The same with an argument for each. */
GLOBAL void face_set(u32 *to, u32 count, u32 value)
{
    u32 i = index();
    if (i < count) to[i] = value;
}

extern "C" __attribute__((device, used, visibility("default"))) const u64 face_mark =
    0x1122334455667788ull;
