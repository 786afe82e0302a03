//===- Page.h - the files of page/, embedded by CMake ------------------------------------------------------------===//

#ifndef SM1C_LIB_REPORT_PAGE_H
#define SM1C_LIB_REPORT_PAGE_H

namespace sm1::page {
extern const char html[], css[], js[];
} // namespace sm1::page

#endif // SM1C_LIB_REPORT_PAGE_H
