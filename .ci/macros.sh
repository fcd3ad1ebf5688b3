# macros.sh ALLOWED SYSTEM FLAGS: which macros including aiter_attn.h adds beyond those of the system
# headers in the file SYSTEM; fails if one of them does not match ALLOWED.
set -u
allowed=$1 system=$2 flags=$3
names() { gcc -dM -E -x c -std=c11 $flags -I. -include "$system" "$1" | awk '{ print $2 }' | sed 's/(.*//' | sort -u; }
added=$(comm -13 <(names /dev/null) <(names aiter_attn.h))
[ -n "$added" ] || { echo "the header adds no macro at all"; exit 1; }
! grep -Ev "$allowed" <<<"$added"
