// Ages as colours, from light (new) to dark (held for long), in steps of turns of the pool: while a
// block of an age of one turn was held, as many blocks as there are were handed out.

#include "CacheDumpAgeSvg.h"

#include "BlockUse.h"

#include <algorithm>
#include <array>
#include <string>

namespace llmir {

namespace {

struct AgeStep {
  const char *name;
  const char *colour;
};
constexpr AgeStep ageSteps[CacheDump::numAgeSteps] = {
    {"less than 1/4 turn", "#fbe3a2"}, {"1/4 to 1/2", "#f7b55f"},   {"1/2 to 1 turn", "#ea7f45"},
    {"1 to 2 turns", "#c6484b"},       {"2 to 4 turns", "#8a2462"}, {"4 turns or more", "#3d1152"}};

/// Where a block without an age is: free, or used by somebody who does not count.
constexpr const char *noAgeColour = "#f1f1f1";

const char *ageColour(const CacheDump &dump, size_t index) {
  const CacheDump::Block &block = dump.blocks[index];
  return block.age ? ageSteps[CacheDump::ageStep(*block.age, dump.blocks.size())].colour
                   : noAgeColour;
}

} // namespace

void drawAgeMap(SvgWriter &svg, const CacheDump &dump, const BlockGrid &grid) {
  size_t total = dump.blocks.size();
  for (size_t first = 0; first < total;) {
    std::string_view colour = ageColour(dump, first);
    size_t end = first + 1;
    // Small cells that look alike are one box; large ones say their own age.
    while (grid.size < 16 && end < total && !grid.endsRow(end) && ageColour(dump, end) == colour)
      ++end;
    std::string title = "block " + std::to_string(first);
    if (end > first + 1)
      title = "blocks " + std::to_string(first) + " to " + std::to_string(end - 1) + ", the first";
    const std::optional<int64_t> &age = dump.blocks[first].age;
    title += age ? ": age " + std::to_string(*age) : std::string(": free");
    svg.rectangle(grid.box(first, end), {std::string(colour), "#ffffff", 0.5}, title);
    first = end;
  }
}

double drawAgeTable(SvgWriter &svg, const CacheDump &dump, double left, double top, double width) {
  std::array<std::array<int64_t, numBlockUses>, CacheDump::numAgeSteps> counts{};
  for (const CacheDump::Block &block : dump.blocks)
    if (block.age)
      ++counts[CacheDump::ageStep(*block.age, dump.blocks.size())]
              [static_cast<size_t>(useOf(block))];
  std::array<int64_t, CacheDump::numAgeSteps> sums{};
  for (size_t step = 0; step < counts.size(); ++step)
    for (int64_t blocks : counts[step])
      sums[step] += blocks;
  int64_t largest = std::max<int64_t>(1, *std::max_element(sums.begin(), sums.end()));
  constexpr double rowHeight = 18, labelWidth = 150, countWidth = 60;
  double unit = (width - labelWidth - countWidth) / static_cast<double>(largest);
  for (size_t step = 0; step < counts.size(); ++step) {
    double y = top + static_cast<double>(step) * rowHeight, x = left + labelWidth;
    svg.rectangle({left, y + 2, 12, 12}, {ageSteps[step].colour, "#808080", 0.5});
    svg.text(left + 18, y + 12, ageSteps[step].name, SvgWriter::Weight::Plain, 11);
    for (size_t use = 0; use < numBlockUses; ++use) {
      double length = unit * static_cast<double>(counts[step][use]);
      if (length > 0)
        svg.rectangle({x, y + 2, length, 12}, {blockUseLooks[use].colour, "none", 0},
                      std::string(ageSteps[step].name) + ", " + blockUseLooks[use].name + ": " +
                          std::to_string(counts[step][use]));
      x += length;
    }
    svg.text(x + 6, y + 12, std::to_string(sums[step]), SvgWriter::Weight::Plain, 11);
  }
  return top + static_cast<double>(counts.size()) * rowHeight;
}

} // namespace llmir
