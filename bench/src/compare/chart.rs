//! How do the figures look: CPU per request, class by class, each subject a bar?

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;

use super::table::{Figures, Row};

const WIDTH: u32 = 900;
const PANEL_HEIGHT: u32 = 190;
const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(0, 110, 160);
const THEIRS: RGBColor = RGBColor(170, 175, 180);
/// Part of a row that its bar fills.
const THICKNESS: f64 = 0.7;

/// Writes the chart as SVG.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(path: &Path, figures: &[Figures]) -> anyhow::Result<()> {
    let panels = u32::try_from(figures.len().max(1))?;
    let area = SVGBackend::new(path, (WIDTH, PANEL_HEIGHT * panels)).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, figures) in area.split_evenly((figures.len().max(1), 1)).iter().zip(figures) {
        let drawn = draw(panel, figures);
        drawn.with_context(|| format!("cannot draw {}", figures.class))?;
    }
    area.present()
        .with_context(|| format!("cannot write {}", path.display()))
}

fn draw(
    panel: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    figures: &Figures,
) -> anyhow::Result<()> {
    let rows: Vec<(&Row, f64)> = figures
        .rows
        .iter()
        .filter_map(|row| Some((row, row.cpu_us?.middle)))
        .collect();
    let most = rows.iter().map(|(_, cost)| *cost).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(panel)
        .caption(format!("{}: CPU µs per request", figures.class), (FONT, 16))
        .margin(6)
        .set_label_area_size(LabelAreaPosition::Left, 80)
        .set_label_area_size(LabelAreaPosition::Bottom, 24)
        .build_cartesian_2d(0.0..most * 1.15, 0.0..rows.len().max(1) as f64)?;
    chart.configure_mesh().disable_mesh().disable_y_axis().draw()?;
    for (at, (row, cost)) in rows.iter().rev().enumerate() {
        let color = if row.name == "tidegate" { OURS } else { THEIRS };
        let (low, high) = (
            at as f64 + (1.0 - THICKNESS) / 2.0,
            at as f64 + (1.0 + THICKNESS) / 2.0,
        );
        let bar = Rectangle::new([(0.0, low), (*cost, high)], color.filled());
        chart.draw_series([bar])?;
        let label = Text::new(format!("{} {cost:.1}", row.name), (*cost, high), (FONT, 12));
        chart.draw_series([label])?;
    }
    Ok(())
}
