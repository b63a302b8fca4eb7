//! Spans as OTLP's protobuf, written down at once. OpenTelemetry's own exporter makes a message of every value first,
//! which takes more instructions than all else that is done for a span.
//!
//! The numbers of fields are those of `opentelemetry/proto/trace/v1/trace.proto`, and of the files that it names.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// A `Resource`'s message, in front of the spans of all that is sent.
#[derive(Debug)]
pub(super) struct Resource(pub(super) Vec<u8>);

/// Returns an `ExportTraceServiceRequest` with these spans.
pub(super) fn request(resource: &Resource, spans: &[SpanData]) -> Vec<u8> {
    let mut request = Message(Vec::with_capacity(1_024 * (spans.len() + 1)));
    request.nested(1, |of_resource| {
        of_resource.text(1, &resource.0);
        of_resource.nested(2, |of_scope| {
            of_scope.nested(1, |scope| scope.text(1, b"guiche"));
            spans.iter().for_each(|span| of_scope.nested(2, |message| message.span(span)));
        });
    });
    request.0
}

/// A message, as far as it is written.
struct Message(Vec<u8>);

/// How the value of a field is written.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    Fixed32 = 5,
}

impl Message {
    fn span(&mut self, span: &SpanData) {
        self.place(&span.span_context, [1, 2, 3]);
        if span.parent_span_id != SpanId::INVALID {
            self.text(4, &span.parent_span_id.to_bytes());
        }
        self.text(5, span.name.as_bytes());
        self.number(
            6,
            match span.span_kind {
                SpanKind::Internal => 1,
                SpanKind::Server => 2,
                SpanKind::Client => 3,
                SpanKind::Producer => 4,
                SpanKind::Consumer => 5,
            },
        );
        self.time(7, span.start_time);
        self.time(8, span.end_time);
        self.attributes(9, &span.attributes);
        self.number(10, span.dropped_attributes_count.into());
        for link in span.links.iter() {
            self.nested(13, |message| {
                message.place(&link.span_context, [1, 2, 3]);
                message.attributes(4, &link.attributes);
                message.flags(6, &link.span_context, link.span_context.is_remote());
            });
        }
        self.number(14, span.links.dropped_count.into());
        if let Status::Error { description } = &span.status {
            self.nested(15, |status| {
                status.text(2, description.as_bytes());
                status.number(3, 2);
            });
        }
        self.flags(16, &span.span_context, span.parent_span_is_remote);
    }

    fn place(&mut self, place: &SpanContext, [trace, span, state]: [u32; 3]) {
        self.text(trace, &place.trace_id().to_bytes());
        self.text(span, &place.span_id().to_bytes());
        self.text(state, place.trace_state().header().as_bytes());
    }

    /// W3C's, and whether it is known if the place, or its parent's, was somebody else's.
    fn flags(&mut self, field: u32, place: &SpanContext, remote: bool) {
        let flags = u32::from(place.trace_flags().to_u8()) | 0x100 | if remote { 0x200 } else { 0 };
        self.key(field, Wire::Fixed32);
        self.0.extend(flags.to_le_bytes());
    }

    fn attributes(&mut self, field: u32, attributes: &[KeyValue]) {
        for KeyValue { key, value, .. } in attributes {
            self.nested(field, |attribute| {
                attribute.text(1, key.as_str().as_bytes());
                attribute.nested(2, |message| message.value(value));
            });
        }
    }

    /// One that is zero or empty is there, too.
    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.length_and(1, text.as_str().as_bytes()),
            Value::Bool(truth) => self.varint_of(2, u64::from(*truth)),
            Value::I64(number) => self.varint_of(3, number.cast_unsigned()),
            Value::F64(number) => {
                self.key(4, Wire::Fixed64);
                self.0.extend(number.to_le_bytes());
            }
            Value::Array(Array::I64(numbers)) => self.nested(5, |array| {
                for number in numbers {
                    array.nested(1, |message| message.value(&Value::I64(*number)));
                }
            }),
            // Nobody makes any other.
            other => self.length_and(1, other.as_str().as_bytes()),
        }
    }

    fn time(&mut self, field: u32, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.key(field, Wire::Fixed64);
        self.0.extend((since.as_nanos() as u64).to_le_bytes());
    }

    fn number(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.varint_of(field, number);
        }
    }

    fn text(&mut self, field: u32, text: &[u8]) {
        if !text.is_empty() {
            self.length_and(field, text);
        }
    }

    /// Writes a message in this one, and then its length in front.
    fn nested(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.key(field, Wire::Length);
        let start = self.0.len();
        write(self);
        let end = self.0.len();
        self.varint((end - start) as u64);
        let digits = self.0.len() - end;
        self.0[start..].rotate_right(digits);
    }

    fn length_and(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, Wire::Length);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn varint_of(&mut self, field: u32, number: u64) {
        self.key(field, Wire::Varint);
        self.varint(number);
    }

    fn key(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field << 3 | wire as u32));
    }

    /// Seven bits a byte, the lowest first; all but the last have the eighth.
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::trace::{Link, TraceFlags, TraceId, TraceState};
    use opentelemetry::{InstrumentationScope, StringValue};
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value;
    use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
    use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
    use opentelemetry_sdk::Resource as OfSdk;
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use prost::Message as _;

    use super::*;

    fn place(number: u64, remote: bool, state: TraceState) -> SpanContext {
        let (trace, span) = (TraceId::from(u128::from(number) << 64 | 7), SpanId::from(number));
        SpanContext::new(trace, span, TraceFlags::SAMPLED, remote, state)
    }

    fn span(number: u64, status: Status, attributes: Vec<KeyValue>) -> SpanData {
        let state = TraceState::from_key_value([("vendor", "seven")]).expect("it is one");
        let mut links = SpanLinks::default();
        links.links =
            (2..9).map(|at| Link::with_context(place(at << 40, at % 2 == 0, state.clone()))).collect();
        links.dropped_count = 300;
        let start_time = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
        SpanData {
            span_context: place(number, false, state),
            parent_span_id: if number > 1 { SpanId::from(number - 1) } else { SpanId::INVALID },
            parent_span_is_remote: number > 1,
            span_kind: if number > 1 { SpanKind::Server } else { SpanKind::Client },
            name: "POST /".repeat(number as usize).into(),
            start_time,
            end_time: start_time + Duration::from_micros(3),
            attributes,
            dropped_attributes_count: number as u32 * 100,
            events: SpanEvents::default(),
            links,
            status,
            instrumentation_scope: InstrumentationScope::builder("guiche").build(),
        }
    }

    #[test]
    fn it_is_what_opentelemetrys_own_conversion_says() {
        let attributes = vec![
            KeyValue::new("text", "value"),
            KeyValue::new("none", ""),
            KeyValue::new("zero", 0),
            KeyValue::new("least", i64::MIN),
            KeyValue::new("large", 1_i64 << 40),
            KeyValue::new("true", true),
            KeyValue::new("half", 0.5),
            KeyValue::new("clients", Value::Array(Array::I64(vec![1, 0, -1, 300]))),
            KeyValue::new("long", StringValue::from("x".repeat(300))),
        ];
        let spans = vec![span(1, Status::Unset, attributes), span(40, Status::error("why"), Vec::new())];
        let resource = OfSdk::builder_empty().with_attribute(KeyValue::new("service.name", "guiche")).build();
        let of_sdk = ResourceAttributesWithSchema::from(&resource);
        let mut expected = group_spans_by_resource_and_scope(spans.clone(), &of_sdk);
        // One that says nothing is left out.
        let spans_expected = expected[0].scope_spans[0].spans.iter_mut();
        spans_expected.for_each(|span| drop(span.status.take_if(|status| *status == Default::default())));
        let own = Resource(expected[0].resource.as_ref().expect("it has one").encode_to_vec());
        let read = ExportTraceServiceRequest::decode(&*request(&own, &spans)).expect("it is one");
        assert_eq!(read.resource_spans, expected);
        let first = &read.resource_spans[0].scope_spans[0].spans[0];
        let zero = first.attributes[2].value.as_ref().and_then(|value| value.value.clone());
        assert_eq!(zero, Some(any_value::Value::IntValue(0)), "a zero is one");
    }
}
