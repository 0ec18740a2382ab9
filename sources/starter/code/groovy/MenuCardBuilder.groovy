import groovy.transform.CompileStatic
import groovy.transform.Immutable
import groovy.transform.ToString
import groovy.xml.MarkupBuilder
import java.math.RoundingMode

/**
 * A small language for a restaurant's cards. The kitchen edits a script like
 *
 *   card('Autumn') {
 *       course('Starters') {
 *           dish 'Beetroot carpaccio', 8.50, contains: [nuts, milk]
 *           dish 'Pumpkin soup', 6.80
 *       }
 *       note 'All bread is baked here'
 *   }
 *
 * and gets a web page and a check of the prices against what the goods cost.
 */
enum Allergen {
    gluten, milk, egg, nuts, fish, celery, mustard;

    String getLetter() { 'ABCDEFG'[ordinal()] }
}

@Immutable(knownImmutableClasses = [BigDecimal])
@ToString(includePackage = false)
class Dish {
    String name
    BigDecimal price
    List<Allergen> contains
    boolean vegetarian
}

@CompileStatic
class Course {
    final String title
    final List<Dish> dishes = []

    Course(String title) {
        this.title = title
    }

    void dish(Map<String, Object> options = [:], String name, BigDecimal price) {
        def unknown = options.keySet() - ['contains', 'vegetarian']
        if (unknown) {
            throw new IllegalArgumentException("$name: no option called ${unknown.join(', ')}")
        }
        if (price <= 0) {
            throw new IllegalArgumentException("$name: the price must be positive")
        }
        def contains = (List<Allergen>) (options.contains ?: [])
        dishes << new Dish(name, price, contains.toSorted(), options.vegetarian as boolean)
    }

    /** Makes allergens readable as bare words inside the closure. */
    @SuppressWarnings('unused')
    Object propertyMissing(String name) {
        Allergen.values().find { it.name() == name } ?:
            { throw new MissingPropertyException(name, Course) }()
    }
}

class Card {
    final String title
    final List<Course> courses = []
    final List<String> notes = []

    Card(String title) {
        this.title = title
    }

    Course course(String title, @DelegatesTo(value = Course, strategy = Closure.DELEGATE_FIRST) Closure body) {
        def course = new Course(title)
        def scoped = (Closure) body.clone()
        scoped.delegate = course
        scoped.resolveStrategy = Closure.DELEGATE_FIRST
        scoped()
        courses << course
        course
    }

    void note(String text) {
        notes << text
    }

    Map<Dish, BigDecimal> tooCheap(Map<String, BigDecimal> goods, BigDecimal factor = 3.2) {
        courses*.dishes.flatten()
            .findAll { goods[it.name] != null }
            .collectEntries { [it, (goods[it.name] * factor).setScale(1, RoundingMode.CEILING)] }
            .findAll { dish, least -> dish.price < least }
    }

    String toHtml() {
        def out = new StringWriter()
        def used = courses*.dishes.flatten()*.contains.flatten().toUnique().toSorted()
        new MarkupBuilder(out).article(class: 'card') {
            h1 title
            for (course in courses) {
                section {
                    h2 course.title
                    ul {
                        for (d in course.dishes) {
                            li(class: d.vegetarian ? 'green' : null) {
                                mkp.yield d.name
                                if (d.contains) sup d.contains*.letter.join(' ')
                                span(class: 'price', String.format('%.2f', d.price))
                            }
                        }
                    }
                }
            }
            notes.each { p(class: 'note', it) }
            if (used) {
                footer used.collect { "$it.letter: ${it.name()}" }.join(', ')
            }
        }
        out
    }
}

static Card card(String title, @DelegatesTo(value = Card, strategy = Closure.DELEGATE_FIRST) Closure body) {
    def card = new Card(title)
    body.delegate = card
    body.resolveStrategy = Closure.DELEGATE_FIRST
    body()
    card
}

def autumn = card('Autumn') {
    course('Starters') {
        dish 'Beetroot carpaccio', 8.50, contains: [nuts, milk], vegetarian: true
        dish 'Pumpkin soup', 6.80, vegetarian: true, contains: [celery]
    }
    course('Mains') {
        dish 'Char in brown butter', 23.90, contains: [fish, milk]
        dish 'Mushroom dumplings', 15.40, contains: [gluten, egg, milk], vegetarian: true
    }
    note 'All bread is baked here'
}

println autumn.toHtml()
autumn.tooCheap('Char in brown butter': 8.10, 'Pumpkin soup': 1.30).each { dish, least ->
    System.err.println "$dish.name costs $dish.price, should be at least $least"
}
