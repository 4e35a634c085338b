//! What DataFusion's planner may look up: our functions, no tables, no variables.

use std::sync::{Arc, Mutex};

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, TableReference, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, PlannerResult, RawFieldAccessExpr,
};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, GetFieldAccess, HigherOrderUDF, ScalarUDF, TableSource,
    WindowUDF, lit,
};

use super::{functions, lookup};

/// One planning's context; it remembers the function that was asked for and is not on the list.
#[derive(Debug)]
pub(super) struct Context {
    options: ConfigOptions,
    planners: Vec<Arc<dyn ExprPlanner>>,
    refused: Mutex<Option<String>>,
}

impl Context {
    pub(super) fn new() -> Self {
        Self {
            options: ConfigOptions::default(),
            planners: vec![
                Arc::new(MapPlanner),
                Arc::new(datafusion::functions::unicode::planner::UnicodeFunctionPlanner),
                Arc::new(datafusion::functions::datetime::planner::DatetimeFunctionPlanner),
            ],
            refused: Mutex::new(None),
        }
    }

    /// The function that was asked for in vain, if there was one.
    pub(super) fn refused_function(&self) -> Option<String> {
        self.refused.lock().ok().and_then(|mut name| name.take())
    }
}

impl ContextProvider for Context {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        plan_err!("an expression sees one row, so there is no table `{name}` in it")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let found = functions::by_name(name);
        if found.is_none()
            && let Ok(mut refused) = self.refused.lock()
        {
            *refused = Some(name.to_owned());
        }
        found
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        functions::names().iter().map(|name| (*name).to_owned()).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Plans `map[key]` as a lookup of ours.
#[derive(Debug)]
struct MapPlanner;

impl ExprPlanner for MapPlanner {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        if access.expr.get_type(schema)? != lookup::map_type() {
            return plan_err!("`{}` is not a map: it has no `[key]`", access.expr);
        }
        let key: Expr = match access.field_access {
            GetFieldAccess::NamedStructField { name } => lit(name),
            GetFieldAccess::ListIndex { key } => *key,
            GetFieldAccess::ListRange { .. } => {
                return plan_err!("a map is looked up by one key, as in `map[key]`");
            }
        };
        Ok(PlannerResult::Planned(functions::map_lookup().call(vec![access.expr, key])))
    }
}
