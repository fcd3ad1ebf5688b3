/* contents.h -- a file's bytes as a string; empty if it cannot be read. */
#ifndef CDNA_TESTS_CONTENTS_H
#define CDNA_TESTS_CONTENTS_H

#include <cstdio>
#include <string>

inline std::string contents(const std::string &path)
{
    std::string bytes;
    FILE *f = fopen(path.c_str(), "rb");
    char part[65536];
    for (size_t n; f && (n = fread(part, 1, sizeof part, f)) != 0;) bytes.append(part, n);
    if (f) fclose(f);
    return bytes;
}

#endif /* CDNA_TESTS_CONTENTS_H */
