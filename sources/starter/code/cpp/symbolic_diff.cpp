/// symbolic_diff.cpp - differentiate and simplify small expression trees.
///
/// Nodes are immutable and shared, so a derivative reuses the subtrees of
/// the expression that it came from. Dispatch is by std::visit over a
/// variant: adding a node type breaks every visitor that forgets it.

#include <cassert>
#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <variant>

namespace sym {

struct Node;
using Expr = std::shared_ptr<const Node>;

struct Const { double value; };
struct Var   { std::string name; };
struct Add   { Expr lhs, rhs; };
struct Mul   { Expr lhs, rhs; };
struct Pow   { Expr base; int exponent; };
struct Sin   { Expr arg; };
struct Cos   { Expr arg; };

struct Node {
    std::variant<Const, Var, Add, Mul, Pow, Sin, Cos> v;
};

template <class... Fs> struct overloaded : Fs... { using Fs::operator()...; };
template <class... Fs> overloaded(Fs...) -> overloaded<Fs...>;

template <class T> Expr make(T t) {
    return std::make_shared<const Node>(Node{std::move(t)});
}

Expr constant(double x) { return make(Const{x}); }
Expr var(std::string name) { return make(Var{std::move(name)}); }

const Const* as_const(const Expr& e) { return std::get_if<Const>(&e->v); }
bool is(const Expr& e, double x) {
    const Const* c = as_const(e);
    return c && c->value == x;
}

// The smart constructors do the simplifying: no node is built that an
// identity would remove again.
Expr operator+(Expr a, Expr b) {
    if (is(a, 0)) return b;
    if (is(b, 0)) return a;
    if (auto *x = as_const(a), *y = as_const(b); x && y)
        return constant(x->value + y->value);
    return make(Add{std::move(a), std::move(b)});
}

Expr operator*(Expr a, Expr b) {
    if (is(a, 0) || is(b, 0)) return constant(0);
    if (is(a, 1)) return b;
    if (is(b, 1)) return a;
    if (auto *x = as_const(a), *y = as_const(b); x && y)
        return constant(x->value * y->value);
    if (as_const(b)) std::swap(a, b);  // constants to the front
    return make(Mul{std::move(a), std::move(b)});
}

Expr pow(Expr base, int n) {
    if (n == 0) return constant(1);
    if (n == 1) return base;
    if (auto* c = as_const(base)) return constant(std::pow(c->value, n));
    return make(Pow{std::move(base), n});
}

Expr sin(Expr a) { return make(Sin{std::move(a)}); }
Expr cos(Expr a) { return make(Cos{std::move(a)}); }

Expr diff(const Expr& e, const std::string& x) {
    return std::visit(overloaded{
        [&](const Const&) { return constant(0); },
        [&](const Var& n) { return constant(n.name == x ? 1 : 0); },
        [&](const Add& n) { return diff(n.lhs, x) + diff(n.rhs, x); },
        [&](const Mul& n) { return diff(n.lhs, x) * n.rhs + n.lhs * diff(n.rhs, x); },
        [&](const Pow& n) {
            return constant(n.exponent) * pow(n.base, n.exponent - 1) * diff(n.base, x);
        },
        [&](const Sin& n) { return cos(n.arg) * diff(n.arg, x); },
        [&](const Cos& n) { return constant(-1) * sin(n.arg) * diff(n.arg, x); },
    }, e->v);
}

using Env = std::map<std::string, double>;

double eval(const Expr& e, const Env& env) {
    return std::visit(overloaded{
        [&](const Const& n) { return n.value; },
        [&](const Var& n) { return env.at(n.name); },
        [&](const Add& n) { return eval(n.lhs, env) + eval(n.rhs, env); },
        [&](const Mul& n) { return eval(n.lhs, env) * eval(n.rhs, env); },
        [&](const Pow& n) { return std::pow(eval(n.base, env), n.exponent); },
        [&](const Sin& n) { return std::sin(eval(n.arg, env)); },
        [&](const Cos& n) { return std::cos(eval(n.arg, env)); },
    }, e->v);
}

// Prints with parentheses only where precedence needs them.
void print(std::ostream& os, const Expr& e, int outer = 0) {
    auto wrap = [&](int prec, auto body) {
        if (prec < outer) os << '(';
        body();
        if (prec < outer) os << ')';
    };
    std::visit(overloaded{
        [&](const Const& n) { os << n.value; },
        [&](const Var& n) { os << n.name; },
        [&](const Add& n) { wrap(1, [&] { print(os, n.lhs, 1); os << " + "; print(os, n.rhs, 1); }); },
        [&](const Mul& n) { wrap(2, [&] { print(os, n.lhs, 2); os << '*'; print(os, n.rhs, 2); }); },
        [&](const Pow& n) { wrap(3, [&] { print(os, n.base, 4); os << '^' << n.exponent; }); },
        [&](const Sin& n) { os << "sin("; print(os, n.arg); os << ')'; },
        [&](const Cos& n) { os << "cos("; print(os, n.arg); os << ')'; },
    }, e->v);
}

}  // namespace sym

int main() {
    using namespace sym;
    const Expr x = var("x"), a = var("a");
    const Expr f = a * pow(x, 3) + sin(constant(2) * x) + constant(7);
    const Expr df = diff(f, "x");

    std::ostringstream text;
    print(text, df);
    std::cout << "f' = " << text.str() << '\n';

    // compare with a central difference
    const double h = 1e-5;
    auto at = [&](double v) { return eval(f, {{"x", v}, {"a", 0.5}}); };
    const double numeric = (at(1.3 + h) - at(1.3 - h)) / (2 * h);
    assert(std::abs(eval(df, {{"x", 1.3}, {"a", 0.5}}) - numeric) < 1e-7);
}
