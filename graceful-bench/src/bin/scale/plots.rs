//! Pictures: cost against the number of modules, and what a caller meets during a reload.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use graceful_core::ReloadOptions;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::app::{App, Naive, names};
use crate::lua::{ALL, forced};
use crate::measure::{Size, median, time};
use crate::stall::{Caller, Waits};

type Drawn = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Line = (&'static str, Vec<(f64, f64)>);

const COLOURS: [RGBColor; 3] = [RGBColor(200, 60, 40), RGBColor(40, 90, 180), RGBColor(30, 140, 80)];

/// Draws both plots into `folder`, which is made if it is not there.
pub fn draw(size: &Size, folder: &Path) -> Drawn {
    std::fs::create_dir_all(folder)?;
    let cost = folder.join("cost.svg");
    costs(&SVGBackend::new(&cost, (800, 480)).into_drawing_area(), size)?;
    let pause = folder.join("pause.svg");
    pauses(&SVGBackend::new(&pause, (800, 480)).into_drawing_area())?;
    eprintln!("{}\n{}", cost.display(), pause.display());
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Naive, everything, and one leaf, for more and more modules.
fn costs(area: &Area, size: &Size) -> Drawn {
    let mut lines: [Line; 3] = [
        ("naive: clear and require all", Vec::new()),
        ("reload of all, texts edited", Vec::new()),
        ("reload of one leaf", Vec::new()),
    ];
    for modules in [100, 300, 1_000, 3_000, 10_000].into_iter().filter(|modules| *modules <= size.large) {
        let (app, runs) = (App::new(modules), size.runs.min(5));
        let (naive, all) = (Naive::new(&app.graph), names(modules));
        let leaf = app.leaf();
        let edited = |run: usize| {
            (0..modules).for_each(|at| app.edit(at, 2 * run + 1));
            app.reload(ReloadOptions::default()).1
        };
        let one = |run: usize| {
            app.edit(leaf, 2 * run + 2);
            let changed = Some([format!("m{leaf}").into()].into());
            app.reload(ReloadOptions { changed, ..ReloadOptions::default() }).1
        };
        let took = [
            median((0..runs).map(|_| time(|| naive.reload(&all)))),
            median((0..runs).map(edited)),
            median((0..runs).map(one)),
        ];
        lines.iter_mut().zip(took).for_each(|(line, took)| line.1.push((modules as f64, ms(took))));
    }
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption("Cost against the number of modules", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((90.0..size.large.min(11_000) as f64).log_scale(), (0.1..1_500.0).log_scale())?;
    chart.configure_mesh().x_desc("modules").y_desc("milliseconds").draw()?;
    for ((name, points), colour) in lines.into_iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    legend(&mut chart)?;
    Ok(area.present()?)
}

/// When a caller that comes each millisecond gets its answers, while everything is reloaded.
fn pauses(area: &Area) -> Drawn {
    let app = App::new(ALL);
    let (naive, all) = (std::sync::Arc::new(Naive::new(&app.graph)), names(ALL));
    let rest = Duration::from_millis(30);
    let during = |caller: Caller, work: &dyn Fn()| {
        std::thread::sleep(rest);
        work();
        std::thread::sleep(2 * rest);
        caller.stop()
    };
    let bare = naive.clone();
    let naively = Caller::start(move || assert_eq!(bare.call.call::<i64>(1).unwrap(), 2));
    let lines: [(&str, Waits); 2] = [
        ("naive: clear and require all", during(naively, &|| naive.reload(&all))),
        ("reload of all", during(Caller::of(&app), &|| drop(app.reload(forced())))),
    ];
    let end = lines.iter().flat_map(|line| &line.1).map(|(at, _)| ms(*at)).fold(1.0, f64::max);
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption("What a call each millisecond waits while 1,000 modules are reloaded", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, (0.001..200.0).log_scale())?;
    chart.configure_mesh().x_desc("milliseconds").y_desc("milliseconds until the answer").draw()?;
    for ((name, waits), colour) in lines.into_iter().zip(COLOURS) {
        let points = waits.into_iter().map(|(at, wait)| (ms(at), ms(wait).max(0.001)));
        chart
            .draw_series(points.map(|point| Circle::new(point, 2, colour.filled())))?
            .label(name)
            .legend(move |(x, y)| Circle::new((x + 8, y), 3, colour.filled()));
    }
    legend(&mut chart)?;
    Ok(area.present()?)
}

fn legend<'a, X, Y>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    Ok(())
}
