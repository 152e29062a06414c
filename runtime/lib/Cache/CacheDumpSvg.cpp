// CacheDump as a picture: a summary, a bar of how the blocks are used, the blocks in the order of
// their index by owner and, where it is known, by age, the legend of sequences, the prefix tree,
// its hit rate.

#include "BlockUse.h"
#include "CacheDumpAgeSvg.h"
#include "CacheDumpTreeSvg.h"
#include "SvgWriter.h"
#include "llmir/Cache/CacheDump.h"

#include <algorithm>
#include <cstdio>
#include <unordered_map>
#include <utility>

namespace llmir {

namespace {

constexpr double margin = 20, drawingWidth = 960;
constexpr size_t maxLegend = 40;

using Weight = SvgWriter::Weight;

/// Neighbouring hues differ most with the golden angle.
std::string sequenceColour(size_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "hsl(%d,%d%%,%d%%)",
                static_cast<int>(137.508 * static_cast<double>(number)) % 360,
                number / 11 % 2 == 0 ? 65 : 45, 38 + static_cast<int>(number % 3) * 14);
  return text;
}

std::string percent(int64_t part, int64_t whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%",
                whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

class Drawing {
public:
  explicit Drawing(const CacheDump &dump)
      : dump_(dump), counts_(dump.counts()), ages_(dump.ages()) {
    for (size_t i = 0; i < dump.sequences.size(); ++i)
      numbers_.emplace(dump.sequences[i].id, i);
    for (const CacheDump::Block &block : dump.blocks)
      numFree_ += block.freeOrder.has_value();
  }

  std::string draw() {
    drawSummary();
    drawBar();
    drawBlocks();
    drawMarks();
    drawAges();
    drawSequences();
    drawPrefixes();
    return svg_.finish(drawingWidth + 2 * margin, y_ + margin);
  }

private:
  /// How one cell looks; equal neighbours are drawn as one when cells are small.
  struct Cell {
    std::string fill, secondFill, title;
    bool isShared = false, isInTree = false;
    friend bool operator==(const Cell &a, const Cell &b) {
      return a.fill == b.fill && a.secondFill == b.secondFill && a.isShared == b.isShared &&
             a.isInTree == b.isInTree;
    }
  };

  void line(const std::string &text, Weight weight = Weight::Plain, int size = 12) {
    y_ += size + 6;
    svg_.text(margin, y_, text, weight, size);
  }

  void drawSummary() {
    const CacheDump::Layout &layout = dump_.layout;
    auto total = static_cast<int64_t>(dump_.blocks.size());
    line(dump_.source + ": " + percent(total - counts_.free, total) + " of " +
             std::to_string(total) + " blocks in use",
         Weight::Bold, 16);
    line(std::to_string(layout.numLayers) + " layers, " + std::to_string(layout.numKVHeads) +
         " KV heads, keys " + std::to_string(layout.keyHeadDim) + " x " + layout.keyType +
         ", values " + std::to_string(layout.valueHeadDim) + " x " + layout.valueType +
         "; blocks of " + std::to_string(layout.blockSize) + " tokens and " +
         std::to_string(layout.blockBytes) + " bytes; slack " +
         std::to_string(counts_.slackTokens) + " tokens");
    y_ += 6;
  }

  void drawBar() {
    const int64_t blocks[numBlockUses] = {counts_.ofOneSequence, counts_.shared,
                                          counts_.ofTreeAlone, counts_.ofOthers, counts_.free};
    double x = margin, total = std::max<double>(1, static_cast<double>(dump_.blocks.size()));
    for (size_t use = 0; use < numBlockUses; ++use) {
      double width = drawingWidth * static_cast<double>(blocks[use]) / total;
      svg_.rectangle({x, y_, width, 18}, {blockUseLooks[use].colour, "#ffffff", 1},
                     blockUseLooks[use].name + (": " + std::to_string(blocks[use])));
      x += width;
    }
    y_ += 18;
    x = margin;
    for (size_t use = 0; use < numBlockUses; ++use) {
      svg_.rectangle({x, y_ + 8, 12, 12}, {blockUseLooks[use].colour, "#808080", 0.5});
      svg_.text(x + 18, y_ + 18,
                std::string(blockUseLooks[use].name) + " " + std::to_string(blocks[use]) + " (" +
                    percent(blocks[use], static_cast<int64_t>(dump_.blocks.size())) + ")");
      x += drawingWidth / numBlockUses;
    }
    y_ += 26;
  }

  Cell describe(size_t index) const {
    const CacheDump::Block &block = dump_.blocks[index];
    Cell cell;
    cell.isInTree = block.isInTree;
    // With the tree alone a block is not shared but remembered; the dot says so.
    cell.isShared = block.owners > (block.isInTree ? 2 : 1);
    if (block.owners == 0) {
      // The next to be handed out is the lightest; in eight steps.
      int64_t order = block.freeOrder.value_or(0);
      int64_t step = numFree_ == 0 ? 0 : order * 8 / numFree_;
      char text[16];
      int grey = 248 - static_cast<int>(step) * 9;
      std::snprintf(text, sizeof text, "#%02x%02x%02x", grey, grey, grey);
      cell.fill = text;
      cell.title = "free, number " + std::to_string(order + 1) + " to be handed out";
      return cell;
    }
    cell.title = std::to_string(block.owners) + (block.owners == 1 ? " owner" : " owners");
    for (size_t i = 0; i < block.sequences.size() && i < 8; ++i)
      cell.title += (i == 0 ? ": sequence " : ", ") + std::to_string(block.sequences[i]);
    if (block.isInTree)
      cell.title += ", prefix tree";
    if (block.age)
      cell.title += ", age " + std::to_string(*block.age);
    if (block.sequences.empty())
      cell.fill = lookOf(useOf(block)).colour;
    else
      cell.fill = colourOf(block.sequences[0]);
    if (block.sequences.size() > 1)
      cell.secondFill = colourOf(block.sequences[1]);
    return cell;
  }

  std::string colourOf(int32_t id) const {
    auto number = numbers_.find(id);
    return number == numbers_.end() ? lookOf(BlockUse::Others).colour
                                    : sequenceColour(number->second);
  }

  void drawBlocks() {
    size_t total = dump_.blocks.size();
    double size = total <= 1024 ? 16 : total <= 8192 ? 8 : 4;
    // Side by side, so that a place in one map is easily found in the other.
    constexpr double gap = 32;
    double width = ages_ ? (drawingWidth - gap) / 2 : drawingWidth;
    BlockGrid grid{margin, 0, size, static_cast<size_t>(width / size)};
    double ageX = margin + width + gap;
    line("blocks by index: who has them", Weight::Bold, 13);
    if (ages_)
      svg_.text(ageX, y_, "the same blocks: for how long", Weight::Bold, 13);
    y_ += 6;
    grid.y = y_;
    for (size_t first = 0; first < total;) {
      Cell cell = describe(first);
      size_t end = first + 1;
      while (size < 16 && end < total && !grid.endsRow(end) && describe(end) == cell)
        ++end;
      drawCells(first, end, cell, grid.box(first, end));
      first = end;
    }
    if (ages_) {
      grid.x = ageX;
      drawAgeMap(svg_, dump_, grid);
    }
    y_ += static_cast<double>((total + grid.columns - 1) / grid.columns) * size;
  }

  void drawCells(size_t first, size_t end, const Cell &cell, const SvgWriter::Box &box) {
    std::string name = end == first + 1 ? "block " + std::to_string(first) + ": "
                                        : "blocks " + std::to_string(first) + " to " +
                                              std::to_string(end - 1) + ", the first: ";
    svg_.rectangle(box, {cell.fill, "#ffffff", 0.5}, name + cell.title);
    drawCellMarks(box, cell);
  }

  void drawCellMarks(const SvgWriter::Box &box, const Cell &cell) {
    if (!cell.secondFill.empty())
      svg_.lowerHalf(box, cell.secondFill);
    double inset = box.height / 16;
    if (cell.isShared)
      svg_.rectangle({box.x + inset, box.y + inset, box.width - 2 * inset, box.height - 2 * inset},
                     {"none", "#000000", box.height / 10});
    if (cell.isInTree)
      svg_.dot(box.x + box.width / 2, box.y + box.height / 2, box.height / 6, "#000000");
  }

  /// The legend of what is drawn on cells.
  void drawMarks() {
    struct Mark {
      Cell cell;
      const char *text;
    };
    const Mark marks[] = {
        {{"#9bb8f0", "", "", false, false}, "one sequence (see below)"},
        {{"#9bb8f0", "#f0b89b", "", true, false}, "several owners; two of them"},
        {{lookOf(BlockUse::TreeAlone).colour, "", "", false, true}, "dot: in the prefix tree"},
        {{"#f8f8f8", "", "", false, false}, "free: next to be handed out"},
        {{"#b9b9b9", "", "", false, false}, "free: freed last"}};
    double x = margin;
    for (const Mark &mark : marks) {
      SvgWriter::Box box{x, y_ + 8, 16, 16};
      svg_.rectangle(box, {mark.cell.fill, "#808080", 0.5});
      drawCellMarks(box, mark.cell);
      svg_.text(x + 22, y_ + 20, mark.text, Weight::Plain, 11);
      x += drawingWidth / 5;
    }
    y_ += 28;
  }

  void drawAges() {
    if (!ages_)
      return;
    auto total = static_cast<int64_t>(dump_.blocks.size());
    line("blocks in use by age: allocations since their own; a turn is the pool's " +
             std::to_string(total),
         Weight::Bold, 13);
    y_ = drawAgeTable(svg_, dump_, margin, y_ + 6, drawingWidth);
    line("median age " + std::to_string(ages_->median) + ", oldest " +
         std::to_string(ages_->oldest) +
         "; held for a turn or longer: " + std::to_string(ages_->pastOneTurn) + " of " +
         std::to_string(ages_->blocks) + " blocks in use");
  }

  void drawSequences() {
    line("sequences", Weight::Bold, 13);
    // The largest first: they are whom one looks for when memory is full.
    std::vector<size_t> order(dump_.sequences.size());
    for (size_t i = 0; i < order.size(); ++i)
      order[i] = i;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::pair(dump_.sequences[b].blocks.size(), a) <
             std::pair(dump_.sequences[a].blocks.size(), b);
    });
    constexpr size_t columns = 3;
    size_t shown = std::min(order.size(), maxLegend);
    for (size_t i = 0; i < shown; ++i) {
      const CacheDump::Sequence &sequence = dump_.sequences[order[i]];
      double x = margin + static_cast<double>(i % columns) * drawingWidth / columns;
      double y = y_ + 8 + static_cast<double>(i / columns) * 18;
      svg_.rectangle({x, y, 12, 12}, {sequenceColour(order[i]), "#808080", 0.5});
      svg_.text(x + 18, y + 10,
                std::to_string(sequence.id) + ": " + std::to_string(sequence.length) + " tokens, " +
                    std::to_string(sequence.blocks.size()) + " blocks" + oldestOf(sequence),
                Weight::Plain, 11);
    }
    y_ += static_cast<double>((shown + columns - 1) / columns) * 18 + 8;
    if (shown < order.size())
      line("and " + std::to_string(order.size() - shown) + " smaller ones");
    if (order.empty())
      line("none");
  }

  std::string oldestOf(const CacheDump::Sequence &sequence) const {
    std::optional<int64_t> oldest = dump_.oldestBlock(sequence);
    return oldest ? ", oldest own: age " + std::to_string(*oldest) : std::string();
  }

  void drawPrefixes() {
    if (dump_.tree.empty() && !dump_.statistics)
      return;
    line("prefix tree: " + std::to_string(dump_.tree.size()) +
             " blocks; darker: used later, grey: on disk, red frame: pinned",
         Weight::Bold, 13);
    y_ = drawTree(svg_, dump_, y_ + 6, drawingWidth);
    if (const auto &statistics = dump_.statistics)
      line("hit rate " + percent(statistics->tokensMatched, statistics->tokensAsked) + ": " +
           std::to_string(statistics->tokensMatched) + " of " +
           std::to_string(statistics->tokensAsked) + " tokens in " +
           std::to_string(statistics->matches) + " look-ups; inserted " +
           std::to_string(statistics->blocksInserted) + " blocks, evicted " +
           std::to_string(statistics->blocksEvicted) + "; pages written " +
           std::to_string(statistics->pagesWritten) + ", read " +
           std::to_string(statistics->pagesRead));
  }

  const CacheDump &dump_;
  CacheDump::Counts counts_;
  std::optional<CacheDump::Ages> ages_;
  std::unordered_map<int32_t, size_t> numbers_; ///< Of a sequence id.
  int64_t numFree_ = 0;
  SvgWriter svg_;
  double y_ = 8;
};

} // namespace

std::string toSvg(const CacheDump &dump) { return Drawing(dump).draw(); }

} // namespace llmir
