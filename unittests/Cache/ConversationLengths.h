// ConversationLengths: how long sequences of a trace of conversations are, prompt and answer
// together, in place of the trace: its 12,031 requests in order of length, of which each is the
// middle one of about 120 neighbours, a hundred in all.

#ifndef LLMIR_UNITTESTS_CACHE_CONVERSATIONLENGTHS_H
#define LLMIR_UNITTESTS_CACHE_CONVERSATIONLENGTHS_H

#include <cstdint>

namespace llmir::testing {

inline constexpr int64_t conversationLengths[] = {
    914,   943,   992,   1055,  1101,  1151,  1206,  1245,  1289,  1324,  1361,  1404,  1452,
    1495,  1551,  1627,  1716,  1794,  1887,  1988,  2079,  2196,  2305,  2447,  2611,  2767,
    2955,  3152,  3324,  3534,  3763,  3961,  4178,  4343,  4485,  4655,  4802,  4940,  5095,
    5227,  5374,  5543,  5721,  5921,  6107,  6281,  6489,  6712,  6930,  7138,  7350,  7610,
    7878,  8133,  8394,  8680,  8905,  9197,  9438,  9749,  10046, 10352, 10649, 11050, 11397,
    11800, 12170, 12491, 12894, 13350, 13795, 14167, 14569, 15014, 15489, 15906, 16363, 16844,
    17354, 17931, 18546, 19095, 19765, 20514, 21373, 22428, 23574, 24773, 25769, 27084, 28294,
    29948, 31837, 34047, 37869, 42109, 49236, 59489, 74220, 101102};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_CACHE_CONVERSATIONLENGTHS_H
