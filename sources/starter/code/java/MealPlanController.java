package org.example.canteen;

import jakarta.validation.Valid;
import jakarta.validation.constraints.Future;
import jakarta.validation.constraints.NotEmpty;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Positive;
import jakarta.validation.constraints.Size;
import java.net.URI;
import java.time.Clock;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.springframework.dao.OptimisticLockingFailureException;
import org.springframework.format.annotation.DateTimeFormat;
import org.springframework.http.CacheControl;
import org.springframework.http.HttpStatus;
import org.springframework.http.ProblemDetail;
import org.springframework.http.ResponseEntity;
import org.springframework.security.access.prepost.PreAuthorize;
import org.springframework.transaction.annotation.Transactional;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** Menus of the canteen: cooks publish them, guests order until the evening before. */
@RestController
@RequestMapping("/menus")
class MealPlanController {

    private static final LocalTime ORDER_DEADLINE = LocalTime.of(18, 0);

    enum Allergen { GLUTEN, MILK, EGG, NUTS, SOY, FISH, CELERY, SESAME }

    record Dish(@NotNull @Size(max = 80) String name, @Positive int cents, @NotNull Set<Allergen> allergens) {
        Dish {
            allergens = allergens.isEmpty() ? Set.of() : EnumSet.copyOf(allergens);
        }

        boolean suits(Set<Allergen> avoided) {
            return allergens.stream().noneMatch(avoided::contains);
        }
    }

    record MenuDraft(@NotNull @Future LocalDate day, @NotEmpty @Size(max = 6) List<@Valid Dish> dishes) {}

    record OrderRequest(@Positive long dishId, @Positive int portions) {}

    record MenuView(LocalDate day, List<Dish> dishes, boolean open) {}

    static final class OrderingClosed extends RuntimeException {
        OrderingClosed(LocalDate day) {
            super("Orders for " + day + " closed at " + ORDER_DEADLINE + " the day before");
        }
    }

    private final MenuRepository menus;
    private final OrderService orders;
    private final Clock clock;

    MealPlanController(MenuRepository menus, OrderService orders, Clock clock) {
        this.menus = menus;
        this.orders = orders;
        this.clock = clock;
    }

    /** Dishes of a range of days, without those that contain what a guest avoids. */
    @GetMapping
    ResponseEntity<List<MenuView>> list(
            @RequestParam @DateTimeFormat(iso = DateTimeFormat.ISO.DATE) LocalDate from,
            @RequestParam(defaultValue = "7") int days,
            @RequestParam(defaultValue = "") Set<Allergen> avoid) {
        var views = menus.findByDayBetween(from, from.plusDays(Math.min(days, 31) - 1L)).stream()
                .map(menu -> new MenuView(
                        menu.day(),
                        menu.dishes().stream().filter(dish -> dish.suits(avoid)).toList(),
                        isOpen(menu.day())))
                .sorted(Comparator.comparing(MenuView::day))
                .toList();
        return ResponseEntity.ok().cacheControl(CacheControl.noCache().cachePrivate()).body(views);
    }

    @PostMapping
    @PreAuthorize("hasRole('COOK')")
    ResponseEntity<Void> publish(@Valid @RequestBody MenuDraft draft) {
        var saved = menus.save(Menu.of(draft.day(), draft.dishes()));
        return ResponseEntity.created(URI.create("/menus/" + saved.day())).build();
    }

    /** Idempotent: sending an order again replaces the earlier one of the same guest. */
    @PutMapping("/{day}/orders/{guest}")
    @PreAuthorize("#guest == authentication.name")
    @Transactional
    Map<Long, Integer> order(
            @PathVariable LocalDate day,
            @PathVariable String guest,
            @RequestHeader("If-Match") String version,
            @Valid @RequestBody List<OrderRequest> requests) {
        if (!isOpen(day)) throw new OrderingClosed(day);
        var portions = requests.stream()
                .collect(Collectors.toMap(OrderRequest::dishId, OrderRequest::portions, Integer::sum));
        return orders.replace(day, guest, version, portions);
    }

    private boolean isOpen(LocalDate day) {
        return LocalDateTime.now(clock).isBefore(day.minusDays(1).atTime(ORDER_DEADLINE));
    }

    @ExceptionHandler
    ProblemDetail handle(OrderingClosed closed) {
        return ProblemDetail.forStatusAndDetail(HttpStatus.CONFLICT, closed.getMessage());
    }

    @ExceptionHandler
    ProblemDetail handle(OptimisticLockingFailureException stale) {
        var problem = ProblemDetail.forStatus(HttpStatus.PRECONDITION_FAILED);
        problem.setDetail("The order was changed on another device; load it again first");
        return problem;
    }
}
