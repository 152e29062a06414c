// SvgWriter: the few shapes that pictures of a cache are made of, as SVG text. Whatever text it is
// given comes out as well-formed XML.

#ifndef LLMIR_LIB_CACHE_SVGWRITER_H
#define LLMIR_LIB_CACHE_SVGWRITER_H

#include <cstdio>
#include <string>
#include <string_view>

namespace llmir {

class SvgWriter {
public:
  struct Box {
    double x = 0, y = 0, width = 0, height = 0;
  };
  struct Paint {
    std::string fill;
    std::string stroke = "none";
    double strokeWidth = 0;
  };

  /// A rectangle; `title` is shown when one points at it.
  void rectangle(const Box &box, const Paint &paint, std::string_view title = {}) {
    body_ += "<rect" + attributes(box) + attributes(paint);
    body_ += title.empty() ? "/>\n" : "><title>" + escape(title) + "</title></rect>\n";
  }
  /// The lower right half of a box.
  void lowerHalf(const Box &box, const std::string &fill) {
    double right = box.x + box.width, bottom = box.y + box.height;
    body_ += "<path d=\"M" + number(box.x) + " " + number(bottom) + "L" + number(right) + " " +
             number(box.y) + "V" + number(bottom) + "z\" fill=\"" + fill + "\"/>\n";
  }
  void dot(double x, double y, double radius, const std::string &fill) {
    body_ += "<circle cx=\"" + number(x) + "\" cy=\"" + number(y) + "\" r=\"" + number(radius) +
             "\" fill=\"" + fill + "\"/>\n";
  }
  enum class Weight { Plain, Bold };
  void text(double x, double y, std::string_view text, Weight weight = Weight::Plain,
            int size = 12) {
    body_ += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" font-size=\"" +
             std::to_string(size) + "\"" + (weight == Weight::Bold ? " font-weight=\"bold\"" : "") +
             ">" + escape(text) + "</text>\n";
  }

  /// The whole picture.
  std::string finish(double width, double height) const {
    std::string size = number(width) + " " + number(height);
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
           "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
           number(width) + "\" height=\"" + number(height) + "\" viewBox=\"0 0 " + size +
           "\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" "
           "fill=\"white\"/>\n" +
           body_ + "</svg>\n";
  }

private:
  static std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
  }
  static std::string attributes(const Box &box) {
    return " x=\"" + number(box.x) + "\" y=\"" + number(box.y) + "\" width=\"" + number(box.width) +
           "\" height=\"" + number(box.height) + "\"";
  }
  static std::string attributes(const Paint &paint) {
    std::string text = " fill=\"" + paint.fill + "\"";
    if (paint.stroke != "none")
      text += " stroke=\"" + paint.stroke + "\" stroke-width=\"" + number(paint.strokeWidth) + "\"";
    return text;
  }
  /// XML allows no control characters, however they are written.
  static std::string escape(std::string_view text) {
    std::string result;
    for (char c : text) {
      switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += static_cast<unsigned char>(c) < 32 ? ' ' : c;
      }
    }
    return result;
  }

  std::string body_;
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_SVGWRITER_H
