//! A report's Markdown as one HTML page that needs nothing else, its charts in it.

use anyhow::Result;
use maud::{PreEscaped, html};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::charts::Picture;
use crate::report::page::{page, table};

/// The most columns of a table that need not have the page's whole width.
const NARROW: usize = 8;

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

    /// What stands before the first section, and verdicts, have a look of their own.
    fn take_text(&mut self, event: Event<'b>) {
        let before = |one: &Event<'b>, what: fn(&Event<'b>) -> bool| what(one);
        match event {
            Event::Start(Tag::Heading { .. }) => self.in_sections = true,
            Event::Start(Tag::Paragraph) if !self.in_sections => return self.raw("<p class=\"question\">"),
            Event::Start(Tag::List(None)) if !self.in_sections => return self.raw("<ul class=\"verdicts\">"),
            Event::Start(Tag::Strong)
                if self.events.last().is_some_and(|one| before(one, |one| matches!(one, Event::Html(_)))) =>
            {
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

    /// Draws a chart, its panels side by side where there is room, one below the other on a phone.
    fn draw(&mut self, file: &str) -> Result<()> {
        self.flush();
        let Some(picture) = self.pictures.iter().find(|picture| picture.file == file) else { return Ok(()) };
        let panels = picture.chart.to_svgs()?;
        let class = if picture.chart.columns > 2 { "charts three" } else { "charts" };
        self.html +=
            &html! { div class=(class) { @for panel in &panels { (PreEscaped(panel)) } } }.into_string();
        Ok(())
    }

    fn end_table(&mut self) {
        self.flush();
        let Some((rows, names)) = self.table.take() else { return };
        let mut class = "dense".to_owned();
        if names > 1 {
            class += " pairs";
        }
        if names > 1 && rows.first().is_some_and(|row| row.len() <= NARROW) {
            class += " narrow";
        }
        self.html += &html! { div class=(class) { (table(&rows)) } }.into_string();
    }
}
