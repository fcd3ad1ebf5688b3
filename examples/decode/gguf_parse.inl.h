/* gguf_parse.inl.h -- the header of a GGUF file into the two sorted tables of gguf.h, which
 * includes this file; every length is compared with the bytes left before it is used. */

/* ---- Reading forward with a check before every step ---- */

typedef struct gguf_cursor {
    const uint8_t *data;
    size_t size, at;
    char *err;
    size_t errlen;
} gguf_cursor;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static int
gguf_fail(const gguf_cursor *c, const char *format, ...)
{
    if (c->errlen > 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(c->err, c->errlen, format, args);
        va_end(args);
    }
    return -1;
}

static int gguf_need(const gguf_cursor *c, uint64_t bytes, const char *what)
{
    if (bytes <= c->size - c->at) return 0;
    return gguf_fail(c, "the file ends inside %s: %llu bytes needed at offset %llu, %llu left",
                     what, (unsigned long long)bytes, (unsigned long long)c->at,
                     (unsigned long long)(c->size - c->at));
}

static int gguf_read_u32(gguf_cursor *c, uint32_t *value, const char *what)
{
    if (gguf_need(c, 4, what) != 0) return -1;
    *value = gguf_u32_at(c->data + c->at);
    c->at += 4;
    return 0;
}

static int gguf_read_u64(gguf_cursor *c, uint64_t *value, const char *what)
{
    if (gguf_need(c, 8, what) != 0) return -1;
    *value = gguf_u64_at(c->data + c->at);
    c->at += 8;
    return 0;
}

static int gguf_read_text(gguf_cursor *c, gguf_text *text, const char *what)
{
    uint64_t length;
    if (gguf_read_u64(c, &length, what) != 0 || gguf_need(c, length, what) != 0) return -1;
    text->data = (const char *)c->data + c->at;
    text->length = (size_t)length;
    c->at += (size_t)length;
    return 0;
}

/* A name inside a message: at most 80 bytes of it, whatever the file says. */
static inline int gguf_shown(gguf_text t) { return t.length < 80 ? (int)t.length : 80; }

static int gguf_check_bools(const gguf_cursor *c, uint64_t count, gguf_text key)
{
    for (uint64_t i = 0; i < count; i++)
        if (c->data[c->at + i] > 1)
            return gguf_fail(c, "key '%.*s' has a bool of value %d at offset %llu", gguf_shown(key),
                             key.data, c->data[c->at + i], (unsigned long long)(c->at + i));
    return 0;
}

/* `count` values of one type, of a scalar (1) or of an array. */
static int gguf_skip_values(gguf_cursor *c, uint32_t type, uint64_t count, gguf_text key)
{
    uint64_t bytes = gguf_type_bytes(type);
    if (type == GGUF_TEXT) {
        gguf_text text;
        for (uint64_t i = 0; i < count; i++)
            if (gguf_read_text(c, &text, "a text value") != 0) return -1;
        return 0;
    }
    if (bytes == 0)
        return gguf_fail(c, "key '%.*s' has the unknown type %u at offset %llu", gguf_shown(key),
                         key.data, (unsigned)type, (unsigned long long)c->at);
    if (gguf_checked_mul(bytes, count, &bytes) != 0) bytes = UINT64_MAX;
    if (gguf_need(c, bytes, "a value") != 0) return -1;
    if (type == GGUF_BOOL && gguf_check_bools(c, count, key) != 0) return -1;
    c->at += (size_t)bytes;
    return 0;
}

static int gguf_parse_pair(gguf_cursor *c, gguf_pair *pair)
{
    gguf_text key;
    uint32_t type;
    uint64_t count = 1;
    pair->key_at = c->at;
    if (gguf_read_text(c, &key, "a key") != 0) return -1;
    if (key.length == 0 || key.length > GGUF_MAX_KEY)
        return gguf_fail(c, "the key at offset %llu has %llu bytes, 1 to %d are allowed",
                         (unsigned long long)pair->key_at, (unsigned long long)key.length,
                         GGUF_MAX_KEY);
    if (gguf_read_u32(c, &type, "the type of a key") != 0) return -1;
    pair->value_at = c->at;
    if (type == GGUF_ARRAY) {
        if (gguf_read_u32(c, &type, "the type of an array") != 0 ||
            gguf_read_u64(c, &count, "the length of an array") != 0)
            return -1;
        if (type == GGUF_ARRAY)
            return gguf_fail(c, "key '%.*s' is an array of arrays, which is not supported",
                             gguf_shown(key), key.data);
    }
    return gguf_skip_values(c, type, count, key);
}

static int gguf_parse_tensor(gguf_cursor *c, gguf_tensor *t)
{
    uint64_t elements = 1;
    if (gguf_read_text(c, &t->name, "a tensor name") != 0) return -1;
    if (t->name.length == 0 || t->name.length > GGUF_MAX_TENSOR_NAME)
        return gguf_fail(
            c, "the tensor name before offset %llu has %llu bytes, 1 to %d are allowed",
            (unsigned long long)c->at, (unsigned long long)t->name.length, GGUF_MAX_TENSOR_NAME);
    int shown = gguf_shown(t->name);
    const char *name = t->name.data;
    if (gguf_read_u32(c, &t->ndim, "a tensor's shape") != 0) return -1;
    if (t->ndim < 1 || t->ndim > GGUF_MAX_DIMS)
        return gguf_fail(c, "tensor '%.*s' has %u dimensions, 1 to %d are allowed", shown, name,
                         (unsigned)t->ndim, GGUF_MAX_DIMS);
    for (uint32_t i = 0; i < GGUF_MAX_DIMS; i++) {
        t->dims[i] = 1;
        if (i < t->ndim && gguf_read_u64(c, &t->dims[i], "a tensor's shape") != 0) return -1;
        if (t->dims[i] < 1 || t->dims[i] > INT64_MAX ||
            gguf_checked_mul(elements, t->dims[i], &elements) != 0)
            return gguf_fail(c, "tensor '%.*s': dimension %u is %llu, which is empty or too large",
                             shown, name, (unsigned)i, (unsigned long long)t->dims[i]);
    }
    if (gguf_read_u32(c, &t->type, "a tensor's type") != 0 ||
        gguf_read_u64(c, &t->offset, "a tensor's offset") != 0)
        return -1;
    const weight_format *format = weight_find(t->type);
    if (!format)
        return gguf_fail(c, "tensor '%.*s' has type %u (%s), which is not supported", shown, name,
                         (unsigned)t->type, weight_name(t->type));
    if (t->dims[0] % format->block_elements != 0)
        return gguf_fail(c, "tensor '%.*s': rows of %llu are no whole number of %s blocks of %u",
                         shown, name, (unsigned long long)t->dims[0], format->name,
                         (unsigned)format->block_elements);
    if (weight_row_bytes(t->type, elements, &t->bytes) != 0)
        return gguf_fail(c, "tensor '%.*s' is too large for this machine", shown, name);
    return 0;
}

/* ---- Sorting: heap sort, so that no file can make it slow or recurse ---- */

static void gguf_swap_bytes(uint8_t *a, uint8_t *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        uint8_t kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

static void gguf_sift(gguf_file *f, uint8_t *base, size_t bytes, gguf_name_of name, size_t root,
                      size_t end)
{
    for (size_t child; (child = 2 * root + 1) < end; root = child) {
        if (child + 1 < end && gguf_compare(name(f, child), name(f, child + 1)) < 0) child++;
        if (gguf_compare(name(f, root), name(f, child)) >= 0) return;
        gguf_swap_bytes(base + root * bytes, base + child * bytes, bytes);
    }
}

/* Returns the index of the first entry of an equal pair, or `count` when all names differ. */
static size_t gguf_sort(gguf_file *f, void *table, size_t bytes, gguf_name_of name, size_t count)
{
    uint8_t *base = (uint8_t *)table;
    for (size_t root = count / 2; root-- > 0;) gguf_sift(f, base, bytes, name, root, count);
    for (size_t end = count; end-- > 1;) {
        gguf_swap_bytes(base, base + end * bytes, bytes);
        gguf_sift(f, base, bytes, name, 0, end);
    }
    for (size_t i = 1; i < count; i++)
        if (gguf_compare(name(f, i - 1), name(f, i)) == 0) return i;
    return count;
}

/* ---- The whole header ---- */

static int gguf_parse_start(gguf_file *f, gguf_cursor *c)
{
    const uint16_t probe = 1;
    if (*(const uint8_t *)&probe != 1)
        return gguf_fail(c, "GGUF files are read on little-endian machines only");
    if (gguf_need(c, 4, "the file's mark") != 0) return -1;
    if (memcmp(c->data, "GGUF", 4) != 0)
        return gguf_fail(c, "not a GGUF file: it does not start with the letters GGUF");
    c->at = 4;
    if (gguf_read_u32(c, &f->version, "the version") != 0) return -1;
    if (f->version != 2 && f->version != 3)
        return gguf_fail(c, "GGUF version %u is not supported, 2 and 3 are%s", (unsigned)f->version,
                         f->version == 0x03000000u ? " (this is a big-endian file)" : "");
    if (gguf_read_u64(c, &f->tensor_count, "the number of tensors") != 0 ||
        gguf_read_u64(c, &f->pair_count, "the number of keys") != 0)
        return -1;
    size_t left = c->size - c->at;
    if (f->pair_count > left / GGUF_SMALLEST_PAIR)
        return gguf_fail(c, "the file claims %llu keys, its %llu bytes cannot hold them",
                         (unsigned long long)f->pair_count, (unsigned long long)c->size);
    if (f->tensor_count > left / GGUF_SMALLEST_TENSOR)
        return gguf_fail(c, "the file claims %llu tensors, its %llu bytes cannot hold them",
                         (unsigned long long)f->tensor_count, (unsigned long long)c->size);
    return 0;
}

static int gguf_parse_pairs(gguf_file *f, gguf_cursor *c)
{
    size_t count = (size_t)f->pair_count;
    if (count == 0) return 0;
    f->pairs = (gguf_pair *)GGUF_MALLOC(count * sizeof *f->pairs);
    if (!f->pairs) return gguf_fail(c, "out of memory for %llu keys", (unsigned long long)count);
    for (size_t i = 0; i < count; i++)
        if (gguf_parse_pair(c, &f->pairs[i]) != 0) return -1;
    size_t twin = gguf_sort(f, f->pairs, sizeof *f->pairs, gguf_pair_key, count);
    if (twin == count) return 0;
    gguf_text key = gguf_pair_key(f, twin);
    return gguf_fail(c, "key '%.*s' is there twice", gguf_shown(key), key.data);
}

static int gguf_parse_alignment(gguf_file *f, gguf_cursor *c)
{
    f->alignment = 32;
    int status = gguf_get_u32(f, "general.alignment", &f->alignment);
    if (status != GGUF_OK && status != GGUF_MISSING)
        return gguf_fail(c, "general.alignment: %s", gguf_status_text(status));
    if (f->alignment == 0 || f->alignment > GGUF_MAX_ALIGNMENT ||
        (f->alignment & (f->alignment - 1)) != 0)
        return gguf_fail(c, "general.alignment is %u, not a power of two up to %d",
                         (unsigned)f->alignment, GGUF_MAX_ALIGNMENT);
    return 0;
}

static int gguf_place_tensor(const gguf_file *f, gguf_cursor *c, gguf_tensor *t)
{
    size_t left = c->size - c->at; /* the data section starts at c->at */
    if (t->offset % f->alignment != 0)
        return gguf_fail(c, "tensor '%.*s': its offset %llu is no multiple of the alignment %u",
                         gguf_shown(t->name), t->name.data, (unsigned long long)t->offset,
                         (unsigned)f->alignment);
    if (t->offset > left || t->bytes > left - t->offset)
        return gguf_fail(c,
                         "tensor '%.*s': its %llu bytes at offset %llu of the data section do not "
                         "fit into the %llu bytes there (is the file complete?)",
                         gguf_shown(t->name), t->name.data, (unsigned long long)t->bytes,
                         (unsigned long long)t->offset, (unsigned long long)left);
    t->data = c->data + c->at + (size_t)t->offset;
    return 0;
}

static int gguf_parse_tensors(gguf_file *f, gguf_cursor *c)
{
    size_t count = (size_t)f->tensor_count;
    if (count == 0) return 0;
    f->tensors = (gguf_tensor *)GGUF_MALLOC(count * sizeof *f->tensors);
    if (!f->tensors)
        return gguf_fail(c, "out of memory for %llu tensors", (unsigned long long)count);
    for (size_t i = 0; i < count; i++)
        if (gguf_parse_tensor(c, &f->tensors[i]) != 0) return -1;
    size_t padding = (f->alignment - c->at % f->alignment) % f->alignment;
    if (gguf_need(c, padding, "the padding before the data section") != 0) return -1;
    c->at += padding;
    for (size_t i = 0; i < count; i++)
        if (gguf_place_tensor(f, c, &f->tensors[i]) != 0) return -1;
    size_t twin = gguf_sort(f, f->tensors, sizeof *f->tensors, gguf_tensor_name, count);
    if (twin == count) return 0;
    gguf_text name = f->tensors[twin].name;
    return gguf_fail(c, "tensor '%.*s' is there twice", gguf_shown(name), name.data);
}
