//! A report on paper: Markdown from a template, and one HTML page made from that Markdown that needs nothing
//! else, its charts in it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use maud::{PreEscaped, html};
use minijinja::Environment;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::groups::GroupChart;
use super::lines::LineChart;
use super::page::{page, table};
use crate::files::save;

/// The page's file.
pub const PAGE: &str = "report.html";

/// The pictures of a report, which templates include.
const CHARTS: &str = include_str!("../../templates/charts.md");

/// The most columns of a table that need not have the page's whole width.
const NARROW: usize = 8;

/// What the first cell of a row of sums says.
pub const SUM: &str = "all";

/// A picture of a report.
#[derive(Debug)]
pub struct Picture<'a> {
    /// Its file beside the report.
    pub file: &'static str,
    /// The heading over it; empty for none.
    pub title: &'static str,
    /// What stands below it; empty for nothing.
    pub note: String,
    /// The chart.
    pub chart: Chart<'a>,
}

/// A chart of either kind.
#[derive(Debug)]
pub enum Chart<'a> {
    /// Panels over groups.
    Groups(GroupChart<'a>),
    /// Lines over one axis.
    Lines(LineChart<'a>),
}

impl Picture<'_> {
    /// Draws it as one picture.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn to_svg(&self) -> Result<String> {
        match &self.chart {
            Chart::Groups(chart) => chart.to_svg(),
            Chart::Lines(chart) => chart.to_svg(),
        }
    }

    fn description(&self) -> String {
        match &self.chart {
            Chart::Groups(chart) => chart.description(),
            Chart::Lines(chart) => chart.description.to_owned(),
        }
    }

    /// Draws it for a page: panels are side by side where there is room, one below the other on a phone.
    fn to_html(&self) -> Result<String> {
        let Chart::Groups(chart) = &self.chart else { return self.to_svg() };
        let (panels, three) = (chart.to_svgs()?, chart.columns > 2);
        let panels = html! { div.charts.three[three] { @for panel in &panels { (PreEscaped(panel)) } } };
        Ok(panels.into_string())
    }
}

/// Renders a template of Markdown, whose lines of statements leave nothing behind.
///
/// # Errors
/// When the template does not fit its values.
pub fn render(template: &str, values: minijinja::Value) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    environment.add_filter("plain", plain);
    environment.add_template("charts.md", CHARTS)?;
    Ok(environment.render_str(template, values)?)
}

/// Returns what a template says of pictures.
pub fn described(pictures: &[Picture<'_>]) -> Vec<minijinja::Value> {
    let described = pictures.iter().map(|picture| {
        let Picture { file, title, note, .. } = picture;
        minijinja::context! { file, title, note, description => picture.description() }
    });
    described.collect()
}

/// Writes `report.md` with its pictures into `directory`, which is made if it is missing. Returns its path.
///
/// # Errors
/// When they cannot be drawn or written.
pub fn write_markdown(directory: &Path, markdown: &str, pictures: &[Picture<'_>]) -> Result<PathBuf> {
    for picture in pictures {
        save(&directory.join(picture.file), &picture.to_svg()?)?;
    }
    let path = directory.join("report.md");
    save(&path, markdown)?;
    Ok(path)
}

/// Writes the same and the page. Returns the path of the latter.
///
/// # Errors
/// As for [`write_markdown`].
pub fn write(directory: &Path, markdown: &str, pictures: &[Picture<'_>]) -> Result<PathBuf> {
    write_markdown(directory, markdown, pictures)?;
    let path = directory.join(PAGE);
    save(&path, &of(markdown, pictures)?)?;
    Ok(path)
}

/// Returns text that means nothing but itself in Markdown.
pub fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '\n' => escaped.push(' '),
            '*' | '[' | ']' | '`' | '\\' | '|' => escaped.extend(['\\', character]),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Returns the page. A picture that the Markdown refers to is drawn where it stands.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn of(markdown: &str, pictures: &[Picture<'_>]) -> Result<String> {
    let mut writer = Writer { pictures, ..Writer::default() };
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        writer.take(event)?;
    }
    writer.flush();
    Ok(page(&writer.title, PreEscaped(writer.html)).into_string())
}

/// Puts the page together: most is [`pulldown_cmark`]'s own HTML, what has a look of its own is not.
#[derive(Default)]
struct Writer<'a, 'b> {
    pictures: &'a [Picture<'a>],
    html: String,
    title: String,
    /// What waits to be written as it is.
    events: Vec<Event<'b>>,
    /// The first heading is being read.
    in_title: bool,
    /// A picture is being read, whose description the chart has itself.
    in_picture: bool,
    /// The table that is being read, and how many of its columns are names.
    table: Option<(Vec<Vec<String>>, usize)>,
    /// Whether the first section has begun: what is before it is the answer.
    in_sections: bool,
}

impl<'b> Writer<'_, 'b> {
    fn take(&mut self, event: Event<'b>) -> Result<()> {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) => self.in_title = true,
            Event::End(TagEnd::Heading(HeadingLevel::H1)) => self.in_title = false,
            Event::Text(text) if self.in_title => self.title += &text,
            Event::Start(Tag::Image { dest_url, .. }) => {
                self.in_picture = true;
                self.draw(&dest_url)?;
            }
            Event::End(TagEnd::Image) => self.in_picture = false,
            _ if self.in_picture => {}
            Event::Start(Tag::Table(columns)) => {
                let names = columns.iter().filter(|one| **one != pulldown_cmark::Alignment::Right).count();
                self.table = Some((Vec::new(), names));
            }
            Event::End(TagEnd::Table) => self.end_table(),
            event if self.table.is_some() => self.take_cell(event),
            event => self.take_text(event),
        }
        Ok(())
    }

    fn take_cell(&mut self, event: Event<'_>) {
        let Some((rows, _)) = &mut self.table else { return };
        match event {
            Event::Start(Tag::TableHead | Tag::TableRow) => rows.push(Vec::new()),
            Event::Start(Tag::TableCell) => {
                rows.iter_mut().last().into_iter().for_each(|row| row.push(String::new()))
            }
            Event::Text(text) => {
                let cell = rows.last_mut().and_then(|row| row.last_mut());
                cell.into_iter().for_each(|cell| *cell += &text);
            }
            _ => {}
        }
    }

    /// Takes text: what stands before the first section, and verdicts, have a look of their own.
    fn take_text(&mut self, event: Event<'b>) {
        match event {
            Event::Start(Tag::Heading { .. }) => self.in_sections = true,
            Event::Start(Tag::Paragraph) if !self.in_sections => return self.raw("<p class=\"question\">"),
            Event::Start(Tag::List(None)) if !self.in_sections => return self.raw("<ul class=\"verdicts\">"),
            Event::Start(Tag::Strong) if matches!(self.events.last(), Some(Event::Html(_))) => {
                // The answer is a paragraph that is strong from its beginning.
                self.events.pop();
                self.raw("<p class=\"answer\">");
                self.events.push(event.clone());
                return;
            }
            Event::Text(ref text)
                if matches!(self.events.last(), Some(Event::Start(Tag::Strong)))
                    && text.starts_with(['✓', '✗', '?']) =>
            {
                self.events.pop();
                let class = match text.chars().next() {
                    Some('✓') => "good",
                    Some('✗') => "bad",
                    _ => "unknown",
                };
                self.events.push(Event::InlineHtml(format!("<strong class=\"{class}\">").into()));
            }
            _ => {}
        }
        self.events.push(event);
    }

    fn raw(&mut self, html: &'static str) {
        self.events.push(Event::Html(html.into()));
    }

    fn flush(&mut self) {
        pulldown_cmark::html::push_html(&mut self.html, self.events.drain(..));
    }

    fn draw(&mut self, file: &str) -> Result<()> {
        self.flush();
        let Some(picture) = self.pictures.iter().find(|picture| picture.file == file) else { return Ok(()) };
        self.html += &picture.to_html()?;
        Ok(())
    }

    fn end_table(&mut self) {
        self.flush();
        let Some((rows, names)) = self.table.take() else { return };
        let has_sum = rows.last().and_then(|row| row.first()).is_some_and(|name| name == SUM);
        let is_narrow = rows.first().is_some_and(|row| row.len() <= NARROW);
        let class = match (has_sum, names > 1, is_narrow) {
            (true, ..) => "sums",
            (_, false, _) => "dense",
            (_, _, false) => "dense pairs",
            (_, _, true) => "dense pairs narrow",
        };
        self.html += &html! { div class=(class) { (table(&rows)) } }.into_string();
    }
}
