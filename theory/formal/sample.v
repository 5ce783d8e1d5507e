(** Finite samples: what a sample must be closed under for three numbers to suffice.

    Label of the book        theorem here
    prop-closed-sample       reflected_slope (the reflection 2 w w^T - I keeps v on the line),
                             closed_sample_in_three_numbers (with the permutations, for all time)

    The law is any finite one, such as that of a sample. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order model derivative orbitals symmetry gradient.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Sample.
Variables (R : realFieldType) (T W P : finType).
Variables (score dscore act dact : R -> R) (phi dphi : bool -> R -> R).
Hypotheses (score_gt0 : forall a, 0 < score a) (score_d : forall a, is_deriv score a (dscore a)).
Hypotheses (act_d : forall a, is_deriv act a (dact a)).
Hypotheses (phi_d : forall y a, is_deriv (phi y) a (dphi y a)).
Variables (prob : W -> R) (label : W -> bool) (X : W -> T -> P -> R) (w : P -> R).
Hypothesis unit_w : dot w w = 1.
Implicit Types (v u : P -> R) (A : T -> T -> R).

Let grad_A := loss_A score dscore act dact dphi prob label X.
Let grad_v := loss_v score act dact dphi prob label X.
Let loss_of := population_of score act phi prob label X.

Definition reflect_along v k := 2%:R * dot w v * w k - v k.

Definition closed_under_reflection := exists h : W -> W,
  [/\ bijective h, prob \o h =1 prob, label \o h =1 label &
      forall o j k, X (h o) j k = reflect_along (X o j) k].

Definition closed_under_permutations (G : {set {perm T}}) := forall g, g \in G ->
  exists h : W -> W, [/\ bijective h, prob \o h =1 prob, label \o h =1 label &
                         forall o j k, X (h o) (g j) k = X o j k].

Lemma dot_reflect v u : dot (reflect_along v) (reflect_along u) = dot v u.
Proof.
have sum3 (a b : R) : \sum_k (a * b * (w k * w k) - a * (w k * u k) - b * (w k * v k)) =
    a * b - a * dot w u - b * dot w v.
  rewrite !sumrB -!mulr_sumr -[\sum_k w k * w k]/(dot w w) unit_w mulr1.
  by [].
pose a := 2%:R * dot w v; pose b := 2%:R * dot w u.
transitivity (\sum_k ((a * b * (w k * w k) - a * (w k * u k) - b * (w k * v k)) + v k * u k)).
  by apply: eq_bigr => k _; rewrite /reflect_along -/a -/b; ring.
rewrite big_split /= sum3 -/(dot v u) (_ : _ - _ - _ = 0) ?add0r //.
by rewrite /a /b; ring.
Qed.

Lemma reflect_line (a : R) k : reflect_along (fun k => a * w k) k = a * w k.
Proof.
rewrite /reflect_along (_ : dot w _ = a); first by ring.
rewrite /dot (eq_bigr (fun k => a * (w k * w k))) => [|i _]; last by rewrite mulrCA.
by rewrite -mulr_sumr -[\sum_k _]/(dot w w) unit_w mulr1.
Qed.

Lemma loss_reflect v A : closed_under_reflection -> loss_of (reflect_along v) A = loss_of v A.
Proof.
case=> h [h_bij prob_h label_h X_h]; rewrite /loss_of /population_of /loss /population.
rewrite (reindex h) /=; last exact: onW_bij.
apply: eq_bigr => o _; rewrite [prob _]prob_h [label _]label_h; congr (_ * phi _ _).
apply: eq_network => // j; rewrite -(dot_reflect v); apply: eq_bigr => k _.
by rewrite X_h.
Qed.

Theorem reflected_slope (a : R) A k : closed_under_reflection ->
  grad_v (fun k => a * w k) A k = dot w (grad_v (fun k => a * w k) A) * w k.
Proof.
move=> closed; pose v k := a * w k; pose G := grad_v v A.
pose still : T -> T -> R := fun _ _ => 0.
have line u : is_deriv (fun t => loss_of (fun k => v k + t * u k) A) 0 (\sum_k G k * u k).
  apply: eq_is_deriv (loss_derivative score_gt0 score_d act_d phi_d prob label X A still v u) =>
    [t|].
    by apply: eq_bigr => o _; congr (_ * phi _ _); apply: eq_network => // i j; rewrite mulr0 addr0.
  by rewrite [X in X + _]big1 ?add0r // => i _; rewrite big1 // => j _; rewrite mulr0.
have same u : \sum_k G k * reflect_along u k = \sum_k G k * u k.
  apply: is_deriv_unique (line (reflect_along u)) _; apply: eq_is_deriv (line u) => // t.
  rewrite -(loss_reflect _ _ closed); apply: eq_bigr => o _; congr (_ * phi _ _).
  apply: eq_network => // j; apply: eq_bigr => i _; congr (_ * _).
  rewrite -[v i](reflect_line a i) /reflect_along -/v.
  have -> : dot w (fun k => v k + t * u k) = dot w v + t * dot w u.
    by rewrite /dot mulr_sumr -big_split; apply: eq_bigr => m _ /=; ring.
  by rewrite /v; move: (dot _ _) (dot _ _) => d d'; ring.
have pick (f : P -> R) : \sum_i f i * (i == k)%:R = f k.
  rewrite (bigD1 k) //= eqxx mulr1 big1 ?addr0 // => i /negbTE ->.
  by rewrite mulr0.
have := same (fun i => (i == k)%:R); rewrite pick => e.
have dot_pick : dot w (fun i => (i == k)%:R) = w k by apply: pick.
move: e; rewrite /reflect_along dot_pick.
rewrite (eq_bigr (fun i => 2%:R * w k * (w i * G i) - G i * (i == k)%:R)) => [|i _]; last by ring.
rewrite sumrB -mulr_sumr pick -[\sum_i w i * G i]/(dot w G) => e.
have double : 2%:R * w k * dot w G = G k + G k by rewrite -[X in X + _]e subrK.
apply: (@mulfI _ 2%:R); first by rewrite pnatr_eq0.
by rewrite mulr_natl mulr2n -double mulrA mulrAC.
Qed.

(** Gradient descent on a closed sample, as in gradient.v on the population. *)
Section Descent.
Variables (I : finType) (part : T -> I) (C : nat) (eta_A eta_v : nat -> R).
Variables (sigma_A alpha0 gamma0 rho0 : R).
Hypothesis eqC : equal part C.
Hypotheses (permutations : closed_under_permutations (wreath part)).
Hypothesis reflection : closed_under_reflection.

Let opt t (g : R) (m : unit) a := (a - eta_A t * g, m).
Let next t A v k := v k - eta_v t * grad_v v A k.
Let start := State (levels part sigma_A gamma0 rho0) (fun _ _ => tt) (fun k => alpha0 * w k).
Let A t := logits (path grad_A opt next start t).
Let v t := others (path grad_A opt next start t).

Theorem closed_sample_in_three_numbers : exists alpha gamma rho : nat -> R,
  forall t, v t =1 (fun k => alpha t * w k) /\ A t =2 levels part sigma_A (gamma t) (rho t).
Proof.
have equi g : g \in wreath part -> equivariant grad_A g.
  move=> /permutations[h [h_bij prob_h label_h X_h]] u B i j.
  apply: (loss_gradient_equivariant score_gt0 score_d act_d phi_d (h := h)); split=> // o m.
  by apply: eq_bigr => k _; rewrite X_h.
have eq_grad u B B' : B =2 B' -> grad_A u B =2 grad_A u B' by apply: eq_loss_A.
have [gamma [rho [_ form _ _]]] :=
  three_coefficients_of_equivariance eq_grad opt next eqC equi sigma_A gamma0 rho0 tt
    (fun k => alpha0 * w k).
pose slope t a := dot w (grad_v (fun k => a * w k) (A t)).
exists (fun t => iteri t (fun s a => a - eta_v s * slope s a) alpha0), gamma, rho => t.
split; last exact: form.
elim: t => [|t IH] k //=.
have same := eq_loss_v score act dact dphi prob label X IH (fun i j => erefl (A t i j)) k.
rewrite /v /= /next -/(v t) -/(A t) /grad_v same IH -/grad_v.
by rewrite [grad_v _ _ _]reflected_slope // mulrBl mulrA.
Qed.
End Descent.
End Sample.
