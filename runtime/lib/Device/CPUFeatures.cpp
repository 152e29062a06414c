// CPUFeatures: tables from CPUID bits to LLVM's names. A feature whose registers the operating
// system does not save (XGETBV) counts as absent.

#include "llmir/Device/CPUFeatures.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace llmir {

namespace {

using Names = std::set<std::string, std::less<>>;

#if defined(__x86_64__)

enum Register { A, B, C, D };

/// What the operating system must save for a feature to be usable.
enum class Needs { Nothing, AVX, AVX512, AMX };

struct Feature {
  uint32_t leaf;
  uint32_t subleaf;
  Register reg;
  uint32_t bit;
  Needs needs;
  const char *name;
};

constexpr uint32_t extendedLeaf = 0x80000001;

// Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E.
constexpr Feature features[] = {
    {1, 0, D, 15, Needs::Nothing, "cmov"},
    {1, 0, D, 8, Needs::Nothing, "cx8"},
    {1, 0, D, 23, Needs::Nothing, "mmx"},
    {1, 0, D, 24, Needs::Nothing, "fxsr"},
    {1, 0, D, 25, Needs::Nothing, "sse"},
    {1, 0, D, 26, Needs::Nothing, "sse2"},
    {1, 0, C, 0, Needs::Nothing, "sse3"},
    {1, 0, C, 1, Needs::Nothing, "pclmul"},
    {1, 0, C, 9, Needs::Nothing, "ssse3"},
    {1, 0, C, 12, Needs::AVX, "fma"},
    {1, 0, C, 13, Needs::Nothing, "cx16"},
    {1, 0, C, 19, Needs::Nothing, "sse4.1"},
    {1, 0, C, 20, Needs::Nothing, "sse4.2"},
    {1, 0, C, 20, Needs::Nothing, "crc32"},
    {1, 0, C, 22, Needs::Nothing, "movbe"},
    {1, 0, C, 23, Needs::Nothing, "popcnt"},
    {1, 0, C, 25, Needs::Nothing, "aes"},
    {1, 0, C, 27, Needs::Nothing, "xsave"},
    {1, 0, C, 28, Needs::AVX, "avx"},
    {1, 0, C, 29, Needs::AVX, "f16c"},
    {1, 0, C, 30, Needs::Nothing, "rdrnd"},
    {7, 0, B, 0, Needs::Nothing, "fsgsbase"},
    {7, 0, B, 3, Needs::Nothing, "bmi"},
    {7, 0, B, 5, Needs::AVX, "avx2"},
    {7, 0, B, 8, Needs::Nothing, "bmi2"},
    {7, 0, B, 16, Needs::AVX512, "avx512f"},
    {7, 0, B, 17, Needs::AVX512, "avx512dq"},
    {7, 0, B, 18, Needs::Nothing, "rdseed"},
    {7, 0, B, 19, Needs::Nothing, "adx"},
    {7, 0, B, 21, Needs::AVX512, "avx512ifma"},
    {7, 0, B, 23, Needs::Nothing, "clflushopt"},
    {7, 0, B, 24, Needs::Nothing, "clwb"},
    {7, 0, B, 28, Needs::AVX512, "avx512cd"},
    {7, 0, B, 29, Needs::Nothing, "sha"},
    {7, 0, B, 30, Needs::AVX512, "avx512bw"},
    {7, 0, B, 31, Needs::AVX512, "avx512vl"},
    {7, 0, C, 1, Needs::AVX512, "avx512vbmi"},
    {7, 0, C, 6, Needs::AVX512, "avx512vbmi2"},
    {7, 0, C, 8, Needs::Nothing, "gfni"},
    {7, 0, C, 9, Needs::AVX, "vaes"},
    {7, 0, C, 10, Needs::AVX, "vpclmulqdq"},
    {7, 0, C, 11, Needs::AVX512, "avx512vnni"},
    {7, 0, C, 12, Needs::AVX512, "avx512bitalg"},
    {7, 0, C, 14, Needs::AVX512, "avx512vpopcntdq"},
    {7, 0, C, 22, Needs::Nothing, "rdpid"},
    {7, 0, C, 27, Needs::Nothing, "movdiri"},
    {7, 0, C, 28, Needs::Nothing, "movdir64b"},
    {7, 0, D, 8, Needs::AVX512, "avx512vp2intersect"},
    {7, 0, D, 14, Needs::Nothing, "serialize"},
    {7, 0, D, 22, Needs::AMX, "amx-bf16"},
    {7, 0, D, 23, Needs::AVX512, "avx512fp16"},
    {7, 0, D, 24, Needs::AMX, "amx-tile"},
    {7, 0, D, 25, Needs::AMX, "amx-int8"},
    {7, 1, A, 4, Needs::AVX, "avxvnni"},
    {7, 1, A, 5, Needs::AVX512, "avx512bf16"},
    {7, 1, A, 21, Needs::AMX, "amx-fp16"},
    {7, 1, A, 23, Needs::AVX, "avxifma"},
    {7, 1, D, 4, Needs::AVX, "avxvnniint8"},
    {7, 1, D, 5, Needs::AVX, "avxneconvert"},
    {7, 1, D, 8, Needs::AMX, "amx-complex"},
    {7, 1, D, 10, Needs::AVX, "avxvnniint16"},
    {0xd, 1, A, 0, Needs::Nothing, "xsaveopt"},
    {0xd, 1, A, 1, Needs::Nothing, "xsavec"},
    {0xd, 1, A, 3, Needs::Nothing, "xsaves"},
    {extendedLeaf, 0, C, 0, Needs::Nothing, "sahf"},
    {extendedLeaf, 0, C, 5, Needs::Nothing, "lzcnt"},
    {extendedLeaf, 0, C, 6, Needs::Nothing, "sse4a"},
    {extendedLeaf, 0, C, 8, Needs::Nothing, "prfchw"},
    {extendedLeaf, 0, C, 11, Needs::AVX, "xop"},
    {extendedLeaf, 0, C, 16, Needs::AVX, "fma4"},
    {extendedLeaf, 0, C, 21, Needs::Nothing, "tbm"},
    {extendedLeaf, 0, C, 29, Needs::Nothing, "mwaitx"},
    {extendedLeaf, 0, D, 29, Needs::Nothing, "64bit"},
    {0x80000008, 0, B, 0, Needs::Nothing, "clzero"},
    {0x80000008, 0, B, 9, Needs::Nothing, "wbnoinvd"},
};

/// The register states that the operating system saves (XCR0), or 0.
uint64_t readSavedStates() {
  uint32_t a, b, c, d;
  constexpr uint32_t osxsave = 1u << 27;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave))
    return 0;
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t(high) << 32) | low;
}

bool isSaved(Needs needs, uint64_t states) {
  constexpr uint64_t avx = 0x6, avx512 = 0xe6, amx = 0x60000;
  switch (needs) {
  case Needs::Nothing:
    return true;
  case Needs::AVX:
    return (states & avx) == avx;
  case Needs::AVX512:
    return (states & avx512) == avx512;
  case Needs::AMX:
    return (states & amx) == amx;
  }
  return false;
}

Names detect() {
  Names names;
  uint64_t states = readSavedStates();
  for (const Feature &feature : features) {
    uint32_t registers[4];
    if (!__get_cpuid_count(feature.leaf, feature.subleaf, &registers[A], &registers[B],
                           &registers[C], &registers[D]))
      continue;
    // A subleaf beyond the last one reads as another's bits on some processors.
    if (feature.leaf == 7 && feature.subleaf == 1) {
      uint32_t last[4];
      if (!__get_cpuid_count(7, 0, &last[A], &last[B], &last[C], &last[D]) || last[A] < 1)
        continue;
    }
    if ((registers[feature.reg] >> feature.bit & 1) && isSaved(feature.needs, states))
      names.insert(feature.name);
  }
  // LLVM's name for 512-bit registers being usable at their full width.
  if (names.count("avx512f"))
    names.insert("evex512");
  return names;
}

#elif defined(__aarch64__)

Names detect() {
  struct Feature {
    unsigned long type, bit;
    const char *name;
  };
  constexpr Feature features[] = {
      {AT_HWCAP, HWCAP_FP, "fp-armv8"},      {AT_HWCAP, HWCAP_ASIMD, "neon"},
      {AT_HWCAP, HWCAP_AES, "aes"},          {AT_HWCAP, HWCAP_SHA2, "sha2"},
      {AT_HWCAP, HWCAP_CRC32, "crc"},        {AT_HWCAP, HWCAP_ATOMICS, "lse"},
      {AT_HWCAP, HWCAP_ASIMDHP, "fullfp16"}, {AT_HWCAP, HWCAP_ASIMDRDM, "rdm"},
      {AT_HWCAP, HWCAP_ASIMDDP, "dotprod"},  {AT_HWCAP, HWCAP_ASIMDFHM, "fp16fml"},
      {AT_HWCAP, HWCAP_SVE, "sve"},          {AT_HWCAP2, HWCAP2_SVE2, "sve2"},
      {AT_HWCAP2, HWCAP2_I8MM, "i8mm"},      {AT_HWCAP2, HWCAP2_BF16, "bf16"},
  };
  Names names;
  for (const Feature &feature : features)
    if (getauxval(feature.type) & feature.bit)
      names.insert(feature.name);
  return names;
}

#else

Names detect() { return {}; }

#endif

} // namespace

const CPUFeatures &CPUFeatures::host() {
  static const CPUFeatures features(detect());
  return features;
}

std::optional<std::string> CPUFeatures::firstMissing(std::span<const std::string> required) const {
  for (const std::string &feature : required) {
    std::string_view name = feature;
    if (name.substr(0, 1) == "+")
      name.remove_prefix(1);
    if (!has(name))
      return std::string(name);
  }
  return std::nullopt;
}

Status enableCPUFeatures(std::span<const std::string> required) {
#if defined(__x86_64__)
  // arch/x86/include/uapi/asm/prctl.h: the tile data state is granted on request only.
  constexpr long requestPermission = 0x1023, tileData = 18;
  for (const std::string &feature : required) {
    if (feature.find("amx-") == std::string::npos)
      continue;
    if (syscall(SYS_arch_prctl, requestPermission, tileData) != 0)
      return failedPrecondition("the system refuses '" + feature +
                                "' to this process: " + std::strerror(errno));
    return Status::ok();
  }
#else
  (void)required;
#endif
  return Status::ok();
}

} // namespace llmir
