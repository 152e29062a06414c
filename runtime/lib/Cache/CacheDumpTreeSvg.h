// The part of a cache's picture that shows its prefix tree.

#ifndef LLMIR_LIB_CACHE_CACHEDUMPTREESVG_H
#define LLMIR_LIB_CACHE_CACHEDUMPTREESVG_H

#include "SvgWriter.h"
#include "llmir/Cache/CacheDump.h"

namespace llmir {

/// Draws the tree below `top`, from left (the first block of a prefix) to right, a row for each
/// prefix; returns where the drawing ends. Chains without a branch are one box. Of many prefixes
/// the most recently used are drawn and the others counted.
double drawTree(SvgWriter &svg, const CacheDump &dump, double top, double width);

} // namespace llmir

#endif // LLMIR_LIB_CACHE_CACHEDUMPTREESVG_H
