//! The shell: watches, index, queue, observe, decide, render, write.
