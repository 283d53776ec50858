# Numbers of R for the cohort of cohort.csv and travel.csv, one object an analysis.
#   cd tests/reference/r && Rscript oracles.R > oracles.json
# Debian: r-base-core r-cran-psych r-cran-lme4 r-cran-coin r-cran-epir r-cran-fbasics r-cran-car
# r-cran-lmtest r-cran-jsonlite. The tests read oracles.json; they need no R.
suppressMessages({
  library(psych); library(lme4); library(coin); library(epiR); library(fBasics); library(car)
  library(lmtest); library(jsonlite)
})
d <- read.csv("cohort.csv", colClasses = c(person = "character", session = "character"))
travel <- read.csv("travel.csv")
out <- list()

manual <- d[d$method == "manual", ]
by_person <- aggregate(value ~ person + site + vendor + group + sex + age + score, manual, mean)
by_person <- by_person[order(by_person$person), ]
first <- d[d$session == "1", ]
wide <- reshape(d[c("person", "session", "method", "value")], direction = "wide",
                idvar = c("person", "session"), timevar = "method")
names(wide) <- sub("value.", "", names(wide), fixed = TRUE)
wide <- wide[order(wide$person, wide$session), ]
means <- aggregate(cbind(manual, model, `rater-2`) ~ person, wide, mean)
means <- means[order(means$person), ]

# variability: within person over sessions; within and between sites (spine-generic: ddof 0)
cov1 <- function(x) 100 * sd(x) / mean(x)
cov0 <- function(x) 100 * sqrt(mean((x - mean(x))^2)) / mean(x)
repeated <- manual[manual$person %in% names(which(table(manual$person) > 1)), ]
covs <- tapply(repeated$value, repeated$person, cov1)
within <- anova(lm(value ~ person, repeated))["Residuals", "Mean Sq"]
site_means <- tapply(by_person$value, by_person$site, mean)
vendor_of <- tapply(by_person$vendor, by_person$site, function(x) x[1])
vendor_means <- tapply(site_means, vendor_of, mean)
site_covs <- tapply(by_person$value, by_person$site, cov0)
out$variability <- list(
  inter_session_cov = mean(covs), inter_session_cov_sd = sd(covs),
  inter_session_cov_median = median(covs), inter_session_cov_rms = sqrt(mean(covs^2)),
  within_sd = sqrt(within), repeatability = 1.96 * sqrt(2) * sqrt(within),
  travel_cov = mean(tapply(travel$value, travel$person, cov1)),
  inter_site_cov_0 = cov0(site_means), inter_vendor_cov_0 = cov0(vendor_means),
  intra_site_cov_0 = as.list(site_covs), intra_site_mean_0 = mean(site_covs),
  intra_site_by_vendor_0 = as.list(tapply(site_covs, vendor_of, mean)),
  ge_mean_half_ci = 1.96 * sqrt(mean((site_means[1:2] - mean(site_means[1:2]))^2)) / sqrt(2))

# reliability
n_i <- table(repeated$person)
a <- anova(lm(value ~ person, repeated))
n0 <- (sum(n_i) - sum(n_i^2) / sum(n_i)) / (length(n_i) - 1)
ms <- a[["Mean Sq"]]
m <- as.matrix(means[c("manual", "model", "rater-2")])
icc <- ICC(m, lmer = FALSE)$results
pick <- function(row) list(icc = icc[row, "ICC"], low = icc[row, "lower bound"],
                           high = icc[row, "upper bound"])
out$reliability <- list(
  one_way_unequal = (ms[1] - ms[2]) / (ms[1] + (n0 - 1) * ms[2]), n0 = n0,
  raters = list(one_way = pick("Single_raters_absolute"), agreement = pick("Single_random_raters"),
                consistency = pick("Single_fixed_raters"),
                agreement_k = pick("Average_random_raters"),
                consistency_k = pick("Average_fixed_raters")))

# variance components and models
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-12))
crossed <- lmer(value ~ 1 + (1 | person) + (1 | site), manual, control = tight)
vc <- as.data.frame(VarCorr(crossed))
out$variance_components <- setNames(as.list(vc$sdcor), vc$grp)
gaps <- d[d$session == "1", ]
gaps <- gaps[!(gaps$method == "model" & as.integer(factor(gaps$person)) %% 3 == 0), ]
raters <- lmer(value ~ 1 + (1 | person) + (1 | method), gaps, control = tight)
rv <- setNames(as.data.frame(VarCorr(raters))$vcov, as.data.frame(VarCorr(raters))$grp)
out$reliability$mixed <- list(
  agreement_mixed = rv[["person"]] / sum(rv),
  consistency_mixed = rv[["person"]] / (rv[["person"]] + rv[["Residual"]]))
ols <- lm(value ~ age + sex, by_person)
mixed <- lmer(value ~ age + sex + (1 | person) + (1 | site), manual, control = tight)
out$linear_model <- list(
  estimate = unname(coef(ols)), se = unname(coef(summary(ols))[, 2]),
  p = unname(coef(summary(ols))[, 4]), r_squared = summary(ols)$r.squared,
  vif = max(vif(ols)), cook = max(cooks.distance(ols)), breusch_pagan_p = bptest(ols)$p.value[[1]],
  mixed_estimate = unname(fixef(mixed)), mixed_se = unname(coef(summary(mixed))[, 2]))

# two methods
difference <- wide$model - wide$manual
ba <- anova(lm(difference ~ wide$person))
n_i <- table(wide$person)
n0 <- (sum(n_i) - sum(n_i^2) / sum(n_i)) / (length(n_i) - 1)
between <- max(0, (ba[["Mean Sq"]][1] - ba[["Mean Sq"]][2]) / n0)
total <- sqrt(between + ba[["Mean Sq"]][2])
one <- means$model - means$manual
out$agreement <- list(mean = mean(one), sd = sd(one), loa_low = mean(one) - 1.96 * sd(one),
                      ci = t.test(one)$conf.int[1:2])
out$bland_altman <- list(bias = mean(difference), sd = total,
                         loa_low = mean(difference) - 1.96 * total,
                         slope = unname(coef(lm(one ~ I((means$model + means$manual) / 2)))[2]))
ccc <- epi.ccc(means$model, means$manual, ci = "z-transform")
out$concordance <- list(ccc = ccc$rho.c$est, low = ccc$rho.c$lower, high = ccc$rho.c$upper,
                        accuracy = ccc$C.b)
axis <- prcomp(cbind(means$manual, means$model))$rotation[, 1]
slopes <- outer(means$model, means$model, "-") / outer(means$manual, means$manual, "-")
slopes <- sort(slopes[upper.tri(slopes)])
k <- sum(slopes < -1)
n <- length(slopes)
pb <- if (n %% 2) slopes[(n + 1) / 2 + k] else mean(slopes[n / 2 + k + 0:1])
out$method_regression <- list(deming_slope = unname(axis[2] / axis[1]), passing_bablok_slope = pb,
                              passing_bablok_intercept = median(means$model - pb * means$manual))
w <- wilcox.test(means$model, means$manual, paired = TRUE, exact = TRUE)
normal <- wilcoxsign_test(means$`rater-2` ~ means$manual, zero.method = "Wilcoxon")
out$paired_test <- list(
  w_plus = unname(w$statistic), p = w$p.value,
  rater_p = wilcox.test(means$`rater-2`, means$manual, paired = TRUE, exact = TRUE)$p.value,
  rater_p_no_continuity = pvalue(normal)[[1]])
out$equivalence <- list(
  p_low = t.test(one, mu = -3, alternative = "greater")$p.value,
  p_high = t.test(one, mu = 3, alternative = "less")$p.value,
  ci = t.test(one, conf.level = 0.9)$conf.int[1:2],
  ranks_p_high = wilcox.test(one, mu = 3, alternative = "less", exact = TRUE)$p.value)

# groups and repeated conditions
values <- split(by_person$value, by_person$group)
mw <- wilcox.test(values$HC, values$SCI, exact = TRUE)
aov_site <- summary(aov(value ~ site, by_person))[[1]]
tk <- TukeyHSD(aov(value ~ site, by_person))$site
out$group_test <- list(
  u = unname(mw$statistic), p = mw$p.value,
  kruskal_h = unname(kruskal.test(value ~ site, by_person)$statistic),
  kruskal_p = kruskal.test(value ~ site, by_person)$p.value,
  anova_f = aov_site[1, "F value"], anova_p = aov_site[1, "Pr(>F)"],
  tukey = as.list(setNames(tk[, "p adj"], rownames(tk))),
  tukey_low = as.list(setNames(tk[, "lwr"], rownames(tk))))
fr <- friedman.test(m)
fit <- lm(m ~ 1)
rm <- anova(fit, X = ~1, test = "Spherical")
out$repeated_test <- list(
  chi2 = unname(fr$statistic), p = fr$p.value, f = rm[1, "F"], p_f = rm[1, "Pr(>F)"],
  epsilon = as.numeric(sub(".*: *", "", grep("Greenhouse", attr(rm, "heading"), value = TRUE))),
  p_gg = rm[1, "G-G Pr"])
dago <- dagoTest(by_person$value)@test
out$normality <- list(k2 = unname(dago$statistic[1]), p = unname(dago$p.value[1]),
                      shapiro_w = unname(shapiro.test(by_person$value)$statistic),
                      shapiro_p = shapiro.test(by_person$value)$p.value)

# correlation
r <- function(x) rank(x)
plain <- cor.test(r(by_person$value), r(by_person$score))
z <- atanh(plain$estimate)
half <- qnorm(0.975) * sqrt((1 + plain$estimate^2 / 2) / (nrow(by_person) - 3))
rx <- resid(lm(r(value) ~ r(age), by_person))
ry <- resid(lm(r(score) ~ r(age), by_person))
rho <- cor(rx, ry)
t <- rho * sqrt((nrow(by_person) - 3) / (1 - rho^2))
out$correlation <- list(
  rho = unname(plain$estimate), p = plain$p.value, low = unname(tanh(z - half)),
  high = unname(tanh(z + half)), partial = rho, partial_p = 2 * pt(-abs(t), nrow(by_person) - 3))
score <- by_person$score
ra <- cor(means$model, score, method = "spearman")
rb <- cor(means$manual, score, method = "spearman")
rab <- cor(means$model, means$manual, method = "spearman")
r2 <- (ra^2 + rb^2) / 2
f <- min(1, (1 - rab) / (2 * (1 - r2)))
h <- (1 - f * r2) / (1 - r2)
zm <- (atanh(ra) - atanh(rb)) * sqrt((length(score) - 3) / (2 * (1 - rab) * h))
out$correlation_difference <- list(rho_a = ra, rho_b = rb, z = zm, p = 2 * pnorm(-abs(zm)))

# harmonisation: site shift and scale from the controls, effect of age kept
hc <- by_person[by_person$group == "HC", ]
fit <- lm(value ~ 0 + site + age, hc)
gamma <- coef(fit)[grep("^site", names(coef(fit)))]
names(gamma) <- sub("site", "", names(gamma))
beta <- coef(fit)["age"]
grand <- sum(gamma * table(hc$site)[names(gamma)]) / nrow(hc)
pooled <- sqrt(mean(resid(fit)^2))
zed <- function(x) (x$value - grand - beta * x$age) / pooled
shift <- tapply(zed(hc), hc$site, mean)
scale <- tapply(zed(hc), hc$site, sd)
adjusted <- (zed(by_person) - shift[by_person$site]) / scale[by_person$site] * pooled +
  grand + beta * by_person$age
out$harmonisation <- list(harmonised = unname(adjusted))

# planning: additive model of arm and site is a t test with 2 n - k - 1 degrees of freedom
df <- 2 * 40 - 4 - 1
ncp <- 3 / (5 * sqrt(2 / 40))
crit <- qt(0.975, df)
out$planning <- list(power_4_sites = pt(crit, df, ncp, lower.tail = FALSE) + pt(-crit, df, ncp),
                     power_1_site = power.t.test(40, 3, 5)$power)
out$corrections <- list(holm = p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm"),
                        fdr_bh = p.adjust(c(0.01, 0.04, 0.03, 0.005), "BH"),
                        bonferroni = p.adjust(c(0.01, 0.04, 0.03, 0.005), "bonferroni"))
out$versions <- as.list(sapply(c("base", "psych", "lme4", "coin", "epiR", "fBasics", "car",
                                 "lmtest"), function(p) as.character(packageVersion(p))))
cat(toJSON(out, auto_unbox = TRUE, digits = 12, pretty = TRUE), "\n")
