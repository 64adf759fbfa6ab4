//! The modules that loads and reloads are measured with.

/// The lines that import `modules`.
pub fn imports(modules: impl IntoIterator<Item = usize>) -> String {
    modules.into_iter().map(|at| format!("import \"m{at}\" as m{at};\n")).collect()
}

/// About forty lines that import `requires`.
pub fn module(at: usize, requires: impl IntoIterator<Item = usize>) -> String {
    let mut text = imports(requires);
    for function in 0..5 {
        text += &format!(
            "fn step_{function}(x, y) {{
    let sum = 0;
    let at = 1;
    while at < x % 100 {{
        sum += at * y;
        at += 5;
    }}
    sum + {at}
}}\n"
        );
    }
    text + "fn run(x) { step_0(x, 1) + step_1(x, 2) + step_4(x, 3) }\nfn twice(x) { x * 2 }\n"
}
