#include <stdexcept>
#include <string>
#include <vector>
#include <cstring>
struct Shelf { int *items; int take(int n) { return items[n]; } };
static int reserve(Shelf &s, int n) { return s.take(n); }
int main(int argc, char **argv) {
  std::string what = argc > 1 ? argv[1] : "throw";
  if (what == "throw") throw std::runtime_error("shelf 7 is empty");
  if (what == "lines") throw std::runtime_error("shelf 7 is empty\nask the warehouse");
  if (what == "int") throw 7;
  if (what == "none") std::terminate();
  Shelf s{new int[4]};
  if (what == "free") { delete[] s.items; return reserve(s, 2); }
  if (what == "over") return reserve(s, 5);
}
