//! Go's text/template, as far as metric queries use it: parse and execute, with the error texts of Go.
