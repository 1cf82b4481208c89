//! `Plan`: what a query means for one input.
//!
//! The aggregates of a query become *accumulators*, which several of them may share (`avg:x` and `sum:x` add up `x`
//! once), and *value columns*, whose values are kept apart below the key: those of `distinct`, and with a column of
//! changes those of `min` and `max`, which have no other way to take a value back.
//!
//! The first accumulator is always the number of rows: a group is there while it is above zero. A sum is null without
//! a value, so a second one counts the values of each column.
//!
//! Integers are added up in 128 bits, which 2^63 of them do not fill. Decimals of more than 18 digits are added up in
//! two halves.
//!
//! Columns of decimals and floats of rare widths are brought to a common one as they come in ([`taken_as`]).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};

use super::changes::{CHANGE, ChangeFinisher, ChangeReduce, change_schema};
use super::error::TableError;
use super::filter::Filter;
use super::finish::Finisher;
use super::intake::Intake;
use super::keyed::{DESCENDING, Shape};
use super::query::{Aggregate, Function, Query};
use super::query_error::QueryError;
use super::values::Reading;
use super::weight::Kind;

/// Most value columns: the tags of rows have seven bits for them, of which the first and the last number are taken.
const VALUE_COLUMNS: usize = 126;

const NUMBERS: &str = "integers, floats and decimals";
const VALUES: &str = "integers, floats, decimals, strings, dates, timestamps and booleans";
/// What is said instead of either of a decimal that is none of these.
const DECIMALS: &str = "decimals of at most 38 digits behind the point";

/// The most digits of a decimal of 128 bits.
const DIGITS: u8 = 38;

/// What a query means for one input. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct Plan {
    parts: Arc<Parts>,
}

/// What a plan is made of. Columns are numbered as in the batches that come in.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) filter: Option<Filter>,
    pub(super) keys: Vec<usize>,
    pub(super) key_types: Vec<DataType>,
    pub(super) converter: RowConverter,
    pub(super) shape: Arc<Shape>,
    /// What the accumulators of the shape add up, in its order.
    pub(super) inputs: Vec<Input>,
    pub(super) value_columns: Vec<ValueColumn>,
    /// What is made of value columns when results are.
    pub(super) from_values: Vec<Kind>,
    pub(super) outputs: Vec<Output>,
    pub(super) diff: Option<(usize, String)>,
    pub(super) output_schema: SchemaRef,
    /// Columns that are taken as another type than they have, with their names and that type.
    pub(super) casts: Vec<(usize, String, DataType)>,
    /// Columns of the input that the batches have.
    columns: Vec<usize>,
}

/// What an accumulator adds up. Without a column: rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) column: Option<usize>,
    pub(super) reading: Reading,
}

/// A column whose values are kept apart, and which accumulators (of `from_values`) are made of them. A column of which
/// both ends are asked for is two of them.
#[derive(Clone, Debug)]
pub(super) struct ValueColumn {
    pub(super) column: usize,
    pub(super) reading: Reading,
    /// Which value comes first is the largest.
    pub(super) descending: bool,
    pub(super) makes: Vec<usize>,
}

impl ValueColumn {
    /// The tag of its rows, if it is the column at `at`.
    pub(super) fn tag(&self, at: usize) -> u8 {
        let number = at as u8 + 1;
        if self.descending { number | DESCENDING } else { number }
    }

    /// The column whose rows have this tag.
    pub(super) fn at(tag: u8) -> Option<usize> {
        usize::from(tag & !DESCENDING).checked_sub(1)
    }
}

/// Where a column of the result comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// An accumulator of the shape.
    Group(usize),
    /// One that is made of values.
    Values(usize),
}

/// A column of the result. Plain numbers are those of accumulators of the shape.
#[derive(Clone, Debug)]
pub(super) enum Output {
    /// A number of rows or values.
    Count(Source),
    /// A smallest or largest value.
    Extreme { of: Source, data_type: DataType },
    /// A sum of whole numbers, if `present` is above zero.
    Sum { of: Whole, present: usize, column: String, data_type: DataType },
    /// Their mean, when they are so many digits to the left of where they should be.
    Mean { of: Whole, present: usize, scale: i8 },
    /// A sum of floats.
    FloatSum { of: usize, present: usize },
    /// Their mean.
    FloatMean { of: usize, present: usize },
}

/// A sum of whole numbers, perhaps in halves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub(super) low: usize,
    pub(super) high: Option<usize>,
}

impl Plan {
    /// What `query` means for tables of the schema `input`.
    ///
    /// # Errors
    /// [`QueryError`], if a column is not there or is of a type that does not fit, or if two columns of the result
    /// would have one name; the filter's errors.
    pub fn new(query: &Query, input: &SchemaRef) -> Result<Plan, TableError> {
        let position = |name: &String| {
            input.index_of(name).map_err(|_| QueryError::UnknownColumn {
                column: name.clone(),
                known: input.fields().iter().map(|field| field.name().clone()).collect(),
            })
        };
        if query.by.is_empty() {
            return Err(QueryError::NoKeys.into());
        }
        let filter = query.filter.as_ref().map(|text| Filter::parse(text, input)).transpose()?;
        let aggregated = query.aggregates.iter().filter_map(|aggregate| aggregate.column.as_ref());
        let mut columns =
            query.by.iter().chain(aggregated).chain(&query.diff).map(position).collect::<Result<Vec<_>, _>>()?;
        columns.extend(filter.iter().flat_map(|filter| filter.columns()));
        columns.sort_unstable();
        columns.dedup();

        // From here on, columns are those of the batches that come in.
        let schema = input.project(&columns).map_err(|error| QueryError::arrow("choosing columns", error))?;
        let filter = query.filter.as_ref().map(|text| Filter::parse(text, &schema)).transpose()?;
        Ok(Plan { parts: Arc::new(Builder::new(query, &schema).build(filter, columns)?) })
    }

    /// The columns of the input that the query looks at, ascending: what the batches of [`Intake::push`] have.
    pub fn columns(&self) -> &[usize] {
        &self.parts.columns
    }

    /// The columns of the result: the keys, then the aggregates.
    pub fn output_schema(&self) -> &SchemaRef {
        &self.parts.output_schema
    }

    /// What makes rows of batches, for one worker.
    pub fn intake(&self) -> Intake {
        Intake::new(self.clone())
    }

    /// What makes results of one sealed batch.
    pub fn finisher(&self) -> Finisher {
        Finisher::new(self.clone())
    }

    /// What gives the changes of each commit.
    ///
    /// # Errors
    /// [`QueryError::SameName`], if a column of the result is called `change`.
    pub fn changes(&self) -> Result<ChangeReduce, TableError> {
        match self.output_schema().column_with_name(CHANGE) {
            Some(_) => Err(QueryError::SameName { name: CHANGE.to_owned() }.into()),
            None => Ok(ChangeReduce::new(self.clone())),
        }
    }

    /// What makes batches of the changes of one commit.
    pub fn change_finisher(&self) -> ChangeFinisher {
        ChangeFinisher::new(self.clone())
    }

    /// The columns of changes: those of the result, then `change`.
    pub fn change_schema(&self) -> SchemaRef {
        change_schema(self)
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }
}

/// A plan while it is made.
struct Builder<'a> {
    query: &'a Query,
    schema: &'a Schema,
    accumulators: Vec<(Kind, Input)>,
    value_columns: Vec<ValueColumn>,
    from_values: Vec<Kind>,
    outputs: Vec<Output>,
    fields: Vec<Field>,
    casts: Vec<(usize, String, DataType)>,
}

impl<'a> Builder<'a> {
    fn new(query: &'a Query, schema: &'a Schema) -> Self {
        let rows = (Kind::Count, Input { column: None, reading: Reading::Presence });
        Builder {
            query,
            schema,
            accumulators: vec![rows],
            value_columns: Vec::new(),
            from_values: Vec::new(),
            outputs: Vec::new(),
            fields: Vec::new(),
            casts: Vec::new(),
        }
    }

    fn build(mut self, filter: Option<Filter>, columns: Vec<usize>) -> Result<Parts, QueryError> {
        let mut keys = Vec::new();
        let mut key_types = Vec::new();
        for name in &self.query.by {
            let (column, data_type) = self.column(name)?;
            if !is_key(&data_type) {
                let allowed = if data_type.is_decimal() { DECIMALS } else { VALUES };
                let (column, found, wanted) = (name.clone(), data_type, "a key");
                return Err(QueryError::Type { column, found, wanted, allowed });
            }
            self.fields.push(Field::new(name, data_type.clone(), true));
            keys.push(column);
            key_types.push(data_type);
        }
        for aggregate in &self.query.aggregates {
            self.aggregate(aggregate)?;
        }
        let mut diff = None;
        if let Some(name) = &self.query.diff {
            let (column, found) = self.column(name)?;
            if !found.is_integer() {
                let (wanted, allowed) = ("changes", "integers, +1 and -1");
                return Err(QueryError::Type { column: name.clone(), found, wanted, allowed });
            }
            diff = Some((column, name.clone()));
        }
        let mut names: Vec<&String> = self.fields.iter().map(Field::name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(QueryError::SameName { name: pair[0].clone() });
        }
        if self.value_columns.len() > VALUE_COLUMNS {
            return Err(QueryError::TooManyValues { limit: VALUE_COLUMNS });
        }
        let sort_fields = key_types.iter().cloned().map(SortField::new).collect();
        let converter = RowConverter::new(sort_fields).map_err(|error| QueryError::arrow("making keys", error))?;
        let (kinds, inputs): (Vec<_>, Vec<_>) = self.accumulators.into_iter().unzip();
        let shape = Shape {
            number: matches!(&key_types[..], [only] if is_number_key(only)),
            values: !self.value_columns.is_empty(),
            kinds,
        };
        Ok(Parts {
            filter,
            keys,
            key_types,
            converter,
            shape: Arc::new(shape),
            inputs,
            value_columns: self.value_columns,
            from_values: self.from_values,
            outputs: self.outputs,
            diff,
            casts: self.casts,
            output_schema: Arc::new(Schema::new(self.fields)),
            columns,
        })
    }

    /// Where a column is, and as which type its values are taken.
    fn column(&mut self, name: &str) -> Result<(usize, DataType), QueryError> {
        let (column, data_type) = self.column_as_it_is(name)?;
        let Some(taken) = taken_as(&data_type) else { return Ok((column, data_type)) };
        if self.casts.iter().all(|(cast, ..)| *cast != column) {
            self.casts.push((column, name.to_owned(), taken.clone()));
        }
        Ok((column, taken))
    }

    fn column_as_it_is(&self, name: &str) -> Result<(usize, DataType), QueryError> {
        match self.schema.column_with_name(name) {
            Some((column, field)) => Ok((column, field.data_type().clone())),
            None => Err(QueryError::UnknownColumn {
                column: name.to_owned(),
                known: self.schema.fields().iter().map(|field| field.name().clone()).collect(),
            }),
        }
    }

    /// The accumulator that adds up `input`; there is one of each.
    fn accumulator(&mut self, kind: Kind, column: usize, reading: Reading) -> usize {
        let accumulator = (kind, Input { column: Some(column), reading });
        self.accumulators.iter().position(|known| *known == accumulator).unwrap_or_else(|| {
            self.accumulators.push(accumulator);
            self.accumulators.len() - 1
        })
    }

    /// The accumulator that is made of the values of `column`; there is one of each.
    fn made_of_values(&mut self, kind: Kind, column: usize, reading: Reading) -> usize {
        let descending = matches!(kind, Kind::Max | Kind::MaxText);
        let same = |known: &ValueColumn| known.column == column && known.descending == descending;
        let at = self.value_columns.iter().position(same).unwrap_or_else(|| {
            self.value_columns.push(ValueColumn { column, reading, descending, makes: Vec::new() });
            self.value_columns.len() - 1
        });
        let makes = &mut self.value_columns[at].makes;
        makes.iter().copied().find(|made| self.from_values[*made] == kind).unwrap_or_else(|| {
            self.from_values.push(kind);
            makes.push(self.from_values.len() - 1);
            self.from_values.len() - 1
        })
    }

    fn present(&mut self, column: usize) -> usize {
        self.accumulator(Kind::Count, column, Reading::Presence)
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<(), QueryError> {
        let (output, data_type) = match &aggregate.column {
            None => (Output::Count(Source::Group(0)), DataType::Int64),
            Some(name) => self.of_column(aggregate.function, name)?,
        };
        let nullable = !matches!(output, Output::Count(_));
        self.fields.push(Field::new(aggregate.output_name(), data_type, nullable));
        self.outputs.push(output);
        Ok(())
    }

    fn of_column(&mut self, function: Function, name: &str) -> Result<(Output, DataType), QueryError> {
        let (column, found) = match function {
            // Whether there is a value is seen without computing with it.
            Function::Count => self.column_as_it_is(name)?,
            _ => self.column(name)?,
        };
        let refused = |allowed| QueryError::Type {
            column: name.to_owned(),
            found: found.clone(),
            wanted: function.name(),
            allowed: if found.is_decimal() { DECIMALS } else { allowed },
        };
        match function {
            Function::Count => Ok((Output::Count(Source::Group(self.present(column))), DataType::Int64)),
            Function::Distinct => {
                let reading = value_reading(&found).ok_or_else(|| refused(VALUES))?;
                let of = self.made_of_values(Kind::Count, column, reading);
                Ok((Output::Count(Source::Values(of)), DataType::Int64))
            }
            Function::Min | Function::Max => {
                let reading = value_reading(&found).ok_or_else(|| refused(VALUES))?;
                let kind = match (function, reading) {
                    (Function::Min, Reading::Text) => Kind::MinText,
                    (Function::Min, _) => Kind::Min,
                    (_, Reading::Text) => Kind::MaxText,
                    _ => Kind::Max,
                };
                let of = if self.query.diff.is_some() {
                    Source::Values(self.made_of_values(kind, column, reading))
                } else {
                    Source::Group(self.accumulator(kind, column, reading))
                };
                Ok((Output::Extreme { of, data_type: found.clone() }, found))
            }
            Function::Sum | Function::Avg if matches!(found, DataType::Float32 | DataType::Float64) => {
                let present = self.present(column);
                let of = self.accumulator(Kind::FloatSum, column, Reading::Float);
                let output = match function {
                    Function::Sum => Output::FloatSum { of, present },
                    _ => Output::FloatMean { of, present },
                };
                Ok((output, DataType::Float64))
            }
            Function::Sum | Function::Avg => {
                let (scale, halves) = match found {
                    DataType::Decimal128(precision, scale) => (scale, precision > 18),
                    _ if found.is_integer() => (0, false),
                    _ => return Err(refused(NUMBERS)),
                };
                let present = self.present(column);
                let of = if halves {
                    let low = self.accumulator(Kind::Sum, column, Reading::Low);
                    Whole { low, high: Some(self.accumulator(Kind::Sum, column, Reading::High)) }
                } else {
                    Whole { low: self.accumulator(Kind::Sum, column, Reading::Number), high: None }
                };
                if function == Function::Avg {
                    return Ok((Output::Mean { of, present, scale }, DataType::Float64));
                }
                let data_type = match found {
                    DataType::Decimal128(_, scale) => DataType::Decimal128(38, scale),
                    _ if self.query.wide_sums => DataType::Decimal128(38, 0),
                    _ => DataType::Int64,
                };
                Ok((Output::Sum { of, present, column: name.to_owned(), data_type: data_type.clone() }, data_type))
            }
        }
    }
}

/// As which type a column of this type is taken, if not as it is: what has the same values and is computed with. A decimal of
/// 256 bits keeps its scale; that its values fit is seen when they come.
fn taken_as(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Float16 => Some(DataType::Float32),
        DataType::Decimal32(digits, scale) | DataType::Decimal64(digits, scale) => {
            Some(DataType::Decimal128(*digits, *scale))
        }
        DataType::Decimal256(digits, scale) if scale.unsigned_abs() <= DIGITS => {
            Some(DataType::Decimal128((*digits).min(DIGITS), *scale))
        }
        _ => None,
    }
}

/// Whether columns of this type can be keys.
fn is_key(data_type: &DataType) -> bool {
    value_reading(data_type).is_some()
}

/// Whether a column of this type alone makes a key that is one number.
fn is_number_key(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

/// How `min`, `max` and `distinct` read a column of this type.
fn value_reading(data_type: &DataType) -> Option<Reading> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Reading::Text),
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) | DataType::Boolean => Some(Reading::Number),
        _ if is_number_key(data_type) => Some(Reading::Number),
        _ => None,
    }
}
