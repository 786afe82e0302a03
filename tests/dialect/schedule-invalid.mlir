// Schedules that say nothing a kernel could do.
// RUN: sm1-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{row_tile, panel_tile and single_row_panels must be at least 1, got 0, 1, 1}}
func.func private @schedule_tile() attributes {s = #sm1.schedule<row_tile = 0, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0>}

// -----

// expected-error @+1 {{single_row_panels must be a multiple of panel_tile = 2, got 3}}
func.func private @schedule_panels() attributes {s = #sm1.schedule<row_tile = 1, panel_tile = 2, single_row_panels = 3, row_split = 0, panel_split = 0>}

// -----

// expected-error @+1 {{row_split, panel_split, row_band and widen_rows must not be negative, got -1, 0, 0, 0}}
func.func private @schedule_split() attributes {s = #sm1.schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = -1, panel_split = 0>}

// -----

// expected-error @+1 {{row_split, panel_split, row_band and widen_rows must not be negative, got 0, 0, -4, 0}}
func.func private @schedule_row_band() attributes {s = #sm1.schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0, row_band = -4>}

// -----

// expected-error @+1 {{row_split, panel_split, row_band and widen_rows must not be negative, got 0, 0, 0, -8}}
func.func private @schedule_widen() attributes {s = #sm1.schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0, widen_rows = -8>}

// -----

// expected-error @+1 {{expected 'matrix_rows'}}
func.func private @schedule_order() attributes {s = #sm1.schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0, products = dot, apart>}

// -----

// expected-error @+1 {{matrix_rows must be a multiple of 16 and matrix_panels positive, or both 0, got 24 and 2}}
func.func private @schedule_matrix_rows() attributes {s = #sm1.schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0, matrix_rows = 24, matrix_panels = 2>}

// -----

// expected-error @+1 {{matrix_rows must be a multiple of 16 and matrix_panels positive, or both 0, got 16 and 0}}
func.func private @schedule_matrix_panels() attributes {s = #sm1.schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0, matrix_rows = 16, matrix_panels = 0>}

// -----

// expected-error @+1 {{matrix_rows must be a multiple of 16 and matrix_panels positive, or both 0, got 0 and 2}}
func.func private @schedule_matrix_no_rows() attributes {s = #sm1.schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0, matrix_rows = 0, matrix_panels = 2>}

// -----

// expected-error @+1 {{matrix_rows must be a multiple of 16 and matrix_panels positive, or both 0, got -16 and 2}}
func.func private @schedule_matrix_negative() attributes {s = #sm1.schedule<row_tile = 1, panel_tile = 1, single_row_panels = 1, row_split = 0, panel_split = 0, matrix_rows = -16, matrix_panels = 2>}
